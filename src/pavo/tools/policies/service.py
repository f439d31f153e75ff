"""Use cases of policies: an organisation's, kept by its owners, and the verdict on a call.

Who may keep them is decided before: the endpoints let owners of the organisation, the command line its operator.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.tools.contract import UNSAFE, Effect
from pavo.tools.policies import repository
from pavo.tools.policies.bounds import MAX_POLICIES
from pavo.tools.policies.checked import checked_values
from pavo.tools.policies.domain import ALLOW, Call, Decision, Policy, Verdict, judged, stricter_effect
from pavo.tools.policies.word import OperatorsWord


async def judge(session: AsyncSession, subject: Subject, call: Call, word: OperatorsWord) -> tuple[Effect, Verdict]:
    """What a call counts as, and what is to be done about it, by the policies as they stand in this transaction.

    Args:
        call: with the effect that the tool says it has, and the arguments as it takes them.
    """
    effect, policies = await repository.words_on(session, subject.organisation_id, call.agent, subject.id, call.tool)
    return await verdict_on(effect, policies, call, word)


async def verdict_on(
    said: Effect | None, policies: Sequence[Policy], call: Call, word: OperatorsWord
) -> tuple[Effect, Verdict]:
    """The same by what the organisation says of the tool, and by the policies that may decide about it."""
    effect = stricter_effect(word.effect_of(call.tool, call.effect), said)
    about = replace(call, effect=effect)
    default: Decision = word.unsafe if effect == UNSAFE else ALLOW
    if all(each.arguments is None for each in policies):
        return effect, judged(about, policies, default)
    return effect, await asyncio.to_thread(judged, about, policies, default)  # schemas may take a while


async def add_to_task(
    session: AsyncSession, who: Identity, task_id: uuid.UUID, policies: Sequence[Mapping[str, Any]]
) -> None:
    """Keep what a task that is created in this session brings along."""
    for values in policies:
        await repository.add(session, who.organisation_id, {**values, "subject_id": task_id, "created_by": who.user_id})


async def copy_to_task(session: AsyncSession, from_id: uuid.UUID, to_id: uuid.UUID) -> None:
    """Give a task the policies of the one that delegates it: what is denied to that one is denied to both."""
    await repository.copy_of_task(session, from_id, to_id)


class PolicyService:
    """An organisation's policies, and what it says of tools' effects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all_of(self, organisation_id: uuid.UUID) -> list[Policy]:
        """The organisation's policies, oldest first."""
        async with self._database.reading() as session:
            return await repository.all_of(session, organisation_id)

    async def get(self, policy_id: uuid.UUID) -> Policy:
        """One policy of an organisation.

        Raises:
            NotFound: there is none.
        """
        async with self._database.reading() as session:
            found = await repository.get(session, policy_id)
        if found is None:
            raise unknown(policy_id)
        return found

    async def of_task(self, who: Identity, task_id: uuid.UUID) -> list[Policy]:
        """Those that came with a task; none where it is not theirs."""
        async with self._database.reading() as session:
            found = await repository.of_task(session, task_id)
        return [each for each in found if each.organisation_id in who.organisation_ids]

    async def named(self, organisation_id: uuid.UUID, reference: str) -> Policy:
        """The policy with this id, or the beginning or end of it.

        Raises:
            NotFound: there is none.
            InvalidInput: there are several, or it is too short.
        """
        wanted = reference.strip().lower()
        if len(wanted) < 4:
            raise InvalidInput(f"{reference!r} is too short for an id.", field="policy", remedy="Give 4 characters.")
        every = await self.all_of(organisation_id)
        found = [each for each in every if str(each.id).startswith(wanted) or str(each.id).endswith(wanted)]
        if len(found) > 1:
            raise InvalidInput("Several policies are called so.", field="policy", remedy="Give its id in full.")
        if not found:
            raise NotFound("There is no such policy.", field="policy", remedy="See: pavo policy list")
        return found[0]

    async def add(self, organisation_id: uuid.UUID, given: Mapping[str, Any], by: uuid.UUID | None = None) -> Policy:
        """A new policy, which holds for every call that begins from now on; one that says the same is that one.

        Args:
            given: `decision` and `tool`; `agent`, `effect`, `arguments` and `note`, if any.
            by: None: an operator.

        Raises:
            InvalidInput: a member is none.
            Conflict: the organisation has as many as it may.
        """
        values = checked_values(given)
        async with self._database.transaction() as session:
            before = await repository.all_locked(session, organisation_id)
            same = [each for each in before if all(getattr(each, name) == said for name, said in values.items())]
            if same:
                return same[0]
            if len(before) >= MAX_POLICIES:
                raise Conflict(
                    f"The organisation has {MAX_POLICIES} policies, as many as it may.",
                    remedy="Remove one; wildcards name several tools.",
                )
            policy_id = await repository.add(session, organisation_id, {**values, "created_by": by})
        return await self.get(policy_id)

    async def change(self, policy_id: uuid.UUID, given: Mapping[str, Any]) -> Policy:
        """Change the members that are given.

        Raises:
            NotFound: there is none.
            InvalidInput: a member is none.
        """
        values = checked_values(given)
        async with self._database.transaction() as session:
            if values and not await repository.change(session, policy_id, values):
                raise unknown(policy_id)
        return await self.get(policy_id)

    async def remove(self, policy_id: uuid.UUID) -> None:
        """Remove a policy.

        Raises:
            NotFound: there is none.
        """
        async with self._database.transaction() as session:
            if not await repository.remove(session, policy_id):
                raise unknown(policy_id)

    async def effects(self, organisation_id: uuid.UUID) -> Mapping[str, str]:
        """What the organisation says of tools' effects, by tool."""
        async with self._database.reading() as session:
            found = await repository.effects_of(session, [organisation_id])
        return {tool: effect for _, tool, effect in found}

    async def set_effect(
        self, organisation_id: uuid.UUID, tool: str, effect: Effect, by: uuid.UUID | None = None
    ) -> None:
        """Say what calling a tool counts as. It makes the tool's own word stricter, never looser."""
        async with self._database.transaction() as session:
            await repository.set_effect(session, organisation_id, tool, effect, by)

    async def unset_effect(self, organisation_id: uuid.UUID, tool: str) -> None:
        """Let the tool's own word count again.

        Raises:
            NotFound: the organisation says nothing of it.
        """
        async with self._database.transaction() as session:
            if not await repository.unset_effect(session, organisation_id, tool):
                raise NotFound(f"The organisation says nothing of {tool[:100]!r}.", field="tool")


def unknown(policy_id: uuid.UUID) -> NotFound:
    """Said alike of what does not exist and of what is somebody else's."""
    return NotFound(f"There is no policy {policy_id}.", field="policy_id", remedy="Look at the list of policies.")
