"""A gateway as far as pings are concerned with it."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from pavo.jobs.contracts import Ping, PingActivities


class Gateway(PingActivities):
    """Answers pings as a gateway with the stream of an agent does, or not."""

    def __init__(self) -> None:
        self.answers = True
        self.silent: set[str] = set()
        """Agents that do not answer."""
        self.pinged: list[Ping] = []

    @activity.defn(name="ping_agent")
    async def ping_agent(self, request: Ping) -> float:
        self.pinged.append(request)
        if not self.answers or request.agent_id in self.silent:
            raise ApplicationError("The stream is silent.", type="Silent")
        return 0.001
