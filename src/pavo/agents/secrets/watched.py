"""The secrets that an agent may read, watched at the boundary to its code."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from pavo.agents.secrets.declared import Secrets
from pavo.observe.hidden import hidden_here


class WatchedSecrets:
    """What it gets is hidden from then on.

    Args:
        noted: notes an outage as none of the agent's.
    """

    def __init__(self, secrets: Secrets, noted: Callable[[], AbstractContextManager[None]]) -> None:
        self._secrets = secrets
        self._noted = noted

    async def secret(self, name: str) -> str:
        """See `Secrets.secret`."""
        with self._noted():
            found = await self._secrets.secret(name)
        if (hidden := hidden_here()) is not None:
            hidden.add(found)
        return found
