"""The smallest workflow: when it ends, a worker of its version is at work."""

from typing import Final

from temporalio import workflow

PROBE_TYPE: Final = "PavoProbe"


@workflow.defn(name=PROBE_TYPE)
class Probe:
    """Started with the version that is meant."""

    @workflow.run
    async def run(self) -> None:
        """Nothing to do."""
