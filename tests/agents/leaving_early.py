"""An agent whose module ends its process by the exit code that says that a process cannot be confined."""

import os

from sample_agents import Sample

from pavo.agents.hosts.wire import EXIT_UNCONFINED

WHEN = "PAVO_TEST_NOTES"


def _leave() -> None:
    os._exit(EXIT_UNCONFINED)


if os.environ.get(WHEN) == "at import":
    _leave()
if os.environ.get(WHEN) == "after a fork":
    os.register_at_fork(after_in_child=_leave)


class LeavingEarly(Sample):
    """A good one, if it gets so far."""

    name = "leaving_early"
