"""A ping of one remote agent, started by the agent's own schedule."""

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pavo.jobs.agents.health_contracts import HEALTH_WRITE, HealthActivities, PingRecorded, PingTarget, on_queue
    from pavo.jobs.contracts import PING_TYPE, Ping, PingActivities
    from pavo.runs.story import SIGNAL_MOVE_ON


@workflow.defn(name=PING_TYPE)
class PingAgent:
    """One ping, by the stream that carries the agent's commands."""

    @workflow.run
    async def run(self, agent_id: str) -> bool:
        """Whether the agent counts as online after it; where not, its pings rest until its next Hello."""
        target = await workflow.execute_local_activity_method(HealthActivities.look_at_agent, agent_id, **HEALTH_WRITE)
        online = target.online and await self._record(agent_id, target, await self._fails(agent_id, target))
        if not online:
            await workflow.execute_local_activity_method(HealthActivities.rest_pings, agent_id, **HEALTH_WRITE)
        return online

    async def _fails(self, agent_id: str, target: PingTarget) -> bool:
        if target.queue is None:
            return True
        ping = Ping(agent_id, target.session)
        try:
            await workflow.execute_activity_method(PingActivities.ping_agent, ping, **on_queue(target.queue))
        except ActivityError as error:
            workflow.logger.info("Agent %s did not answer: %s", agent_id, error.cause or error)
            return True
        return False

    async def _record(self, agent_id: str, target: PingTarget, failed: bool) -> bool:
        told = PingRecorded(agent_id, target.session, failed, key=workflow.info().run_id)
        return await workflow.execute_local_activity_method(HealthActivities.record_ping, told, **HEALTH_WRITE)

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """It ends within seconds."""
