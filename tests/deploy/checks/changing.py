"""A workflow in three builds: as it was, changed so that open histories break, and changed behind a patch."""

from datetime import timedelta

from temporalio import workflow

NAME = "Changing"


@workflow.defn(name=NAME)
class AsItWas:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(0.001)
        await workflow.wait_condition(lambda: False)


@workflow.defn(name=NAME)
class Broken:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity("prepare", start_to_close_timeout=timedelta(seconds=5))
        await workflow.wait_condition(lambda: False)


@workflow.defn(name=NAME)
class Patched:
    @workflow.run
    async def run(self) -> None:
        if workflow.patched("prepare-first"):
            await workflow.execute_activity("prepare", start_to_close_timeout=timedelta(seconds=5))
        else:
            await workflow.sleep(0.001)
        await workflow.wait_condition(lambda: False)


@workflow.defn(name="Another")
class Another:
    @workflow.run
    async def run(self) -> None:
        return
