"""The tasks that a task's agent delegates: each outcome is recorded once, under the lease of its attempt."""

from pavo.agents.delegating.delegation import Delegated, Delegation
from pavo.agents.registry import AgentRegistry
from pavo.errors import AgentRefused, InvalidInput, TooLarge
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.tasks import events
from pavo.tasks.sql import delegations, lease
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.work.context.held_epoch import HeldEpoch, attempt_is_over
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher


def delegation_subject(task: Assignment, version: int) -> Subject:
    """Whose delegations they are: for another prompt, or another plan, it is other work."""
    return Subject(task.id, task.organisation_id, f"e{task.edits}/v{version}")


class TaskChildren:
    """See `agents.delegating.delegation.Children`; belongs to the agents' loop."""

    def __init__(
        self, database: Database, publisher: Publisher, registry: AgentRegistry, subject: Subject, held: HeldEpoch
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._registry = registry
        self._subject = subject
        self._held = held

    async def find(self, delegation: Delegation) -> Delegated | None:
        """What came of it; told in the task's timeline when it is found for the first time.

        Raises:
            AgentRefused: there is no such agent here, its options do not fit, or a limit is reached.
            Unavailable: PostgreSQL is away, or the attempt is over.
        """
        own_id, recorded = delegations.child_id(self._subject, delegation), list[Event]()
        async with self._database.transaction() as session:
            if not await lease.holds(session, self._subject.id, self._held.epoch):
                raise attempt_is_over()
            row = await delegations.find(session, own_id)
            if row is not None:
                if row[0].hash != delegation.hash:
                    raise _refused("key", f"{delegation.key!r} names another task", "Use a key for each.")
                found = await delegations.outcome(session, *row)
                if found is not None and await delegations.settle(session, found):
                    event = events.child_over(own_id, found.stage, found.cause)
                    recorded = await timeline.append(session, self._subject.id, [event])
            else:
                found, full = None, (await delegations.place_of(session, self._subject.id)).full()
                if full is not None:
                    raise _refused("agent", *full)
        self._publisher.publish(recorded)
        if row is None:
            await self._check(delegation)
        return found

    async def _check(self, delegation: Delegation) -> None:
        name, options = delegation.agent, delegation.options
        try:
            await call_in_thread(f"import of agent {name[:100]}", self._registry.validate_options, name, options)
        except (InvalidInput, TooLarge) as error:
            remedy = error.remedy or "Give options that its schema takes."
            raise _refused(error.field or "agent", error.detail.rstrip("."), remedy) from error

    async def delegate(self, delegation: Delegation) -> Delegated:
        """Never called: the agent's host waits itself."""
        raise RuntimeError(f"The host waits for {delegation.identity!r}.")


def _refused(field: str, wrong: str, remedy: str) -> AgentRefused:
    return AgentRefused(f"delegate(): {wrong}.", field=field, remedy=remedy)
