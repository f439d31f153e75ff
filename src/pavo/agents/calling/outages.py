"""What fails of Pavo's own while it answers an agent: an outage is not the agent's fault."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

from pavo.errors import AgentError, Unavailable

logger = logging.getLogger(__name__)

_DRIVERS: Final = frozenset(("psycopg", "psycopg_pool", "redis", "sqlalchemy"))


@contextmanager
def noted(outages: WeakSet[Unavailable]) -> Generator[None]:
    """Within, Pavo answers an agent: its outages are kept, so that an agent's own Unavailable is not taken for one."""
    try:
        yield
    except Unavailable as outage:
        outages.add(outage)
        raise
    except Exception as error:
        if not _is_a_drivers(error):
            raise
        # Its text repeats statements and values: nothing for an agent, nor for the cause of its task.
        logger.exception("What an agent asked of Pavo failed.")
        raise AgentError(f"Pavo could not answer the agent: {type(error).__name__}.") from None


def _is_a_drivers(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] in _DRIVERS for kind in type(error).__mro__)
