"""SQL of policies. Every function works in its caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import Text, and_, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import OrganisationRow
from pavo.kit.ids import new_id
from pavo.tools.contract import Effect
from pavo.tools.policies.domain import Policy
from pavo.tools.policies.models import ToolEffectRow, ToolPolicyRow


def _policy(row: ToolPolicyRow) -> Policy:
    decision: Any = row.decision
    return Policy(
        row.id,
        row.organisation_id,
        decision,
        row.tool,
        row.agent,
        row.subject_id,
        cast("Effect | None", row.effect),
        row.arguments,
        row.note,
        row.created_at,
        row.updated_at,
    )


_WORDS: Final = text("""
SELECT (SELECT e.effect FROM tool_effects e WHERE e.organisation_id = :organisation AND e.tool = :tool) AS effect,
    (SELECT jsonb_agg(to_jsonb(p)) FROM tool_policies p WHERE p.organisation_id = :organisation
        AND (p.subject_id IS NULL AND (p.agent IS NULL OR p.agent = :agent) OR p.subject_id = :task)) AS policies
""").columns(effect=Text, policies=JSONB)


async def words_on(
    session: AsyncSession, organisation_id: uuid.UUID, agent: str, task_id: uuid.UUID, tool: str
) -> tuple[Effect | None, list[Policy]]:
    """What the organisation says that calling a tool does, and the policies that may decide about calls of a task."""
    asked = {"organisation": organisation_id, "agent": agent, "task": task_id, "tool": tool}
    effect, found = (await session.execute(_WORDS, asked)).one()
    return effect, policies_of(found)


def policies_of(found: Sequence[Mapping[str, Any]] | None) -> list[Policy]:
    """The policies that a statement answered as an array of their rows."""
    return [_told(each) for each in found or ()]


def _told(found: Mapping[str, Any]) -> Policy:
    task = found["subject_id"]
    return Policy(
        uuid.UUID(found["id"]),
        uuid.UUID(found["organisation_id"]),
        found["decision"],
        found["tool"],
        found["agent"],
        None if task is None else uuid.UUID(task),
        found["effect"],
        found["arguments"],
        found["note"],
    )


async def all_of(session: AsyncSession, organisation_id: uuid.UUID) -> list[Policy]:
    """The organisation's own, oldest first."""
    query = select(ToolPolicyRow).where(*_ours(organisation_id)).order_by(ToolPolicyRow.id)
    return [_policy(row) for row in (await session.scalars(query)).all()]


async def of_task(session: AsyncSession, task_id: uuid.UUID) -> list[Policy]:
    """Those that came with a task."""
    query = select(ToolPolicyRow).where(ToolPolicyRow.subject_id == task_id).order_by(ToolPolicyRow.id)
    return [_policy(row) for row in (await session.scalars(query)).all()]


_COPY: Final = text("""
INSERT INTO tool_policies (id, organisation_id, subject_id, agent, tool, effect, arguments, decision, note, created_by)
SELECT gen_random_uuid(), organisation_id, :to_id, agent, tool, effect, arguments, decision, note, created_by
FROM tool_policies WHERE subject_id = :from_id
""")


async def copy_of_task(session: AsyncSession, from_id: uuid.UUID, to_id: uuid.UUID) -> None:
    """Give a task those that another one has."""
    await session.execute(_COPY, {"from_id": from_id, "to_id": to_id})


async def get(session: AsyncSession, policy_id: uuid.UUID) -> Policy | None:
    """An organisation's policy by its id."""
    query = select(ToolPolicyRow).where(ToolPolicyRow.id == policy_id, ToolPolicyRow.subject_id.is_(None))
    row = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    return None if row is None else _policy(row)


async def all_locked(session: AsyncSession, organisation_id: uuid.UUID) -> list[Policy]:
    """The same; nobody else adds one before the session commits."""
    mine = OrganisationRow.id == organisation_id
    await session.execute(select(OrganisationRow.id).where(mine).with_for_update(key_share=True))
    return await all_of(session, organisation_id)


async def add(session: AsyncSession, organisation_id: uuid.UUID, values: Mapping[str, Any]) -> uuid.UUID:
    """A new one; its id."""
    row = ToolPolicyRow(id=new_id(), organisation_id=organisation_id, **values)
    session.add(row)
    await session.flush()
    return row.id


async def change(session: AsyncSession, policy_id: uuid.UUID, values: Mapping[str, Any]) -> bool:
    """Change what is given; False: it is there no more."""
    mine = and_(ToolPolicyRow.id == policy_id, ToolPolicyRow.subject_id.is_(None))
    changing = update(ToolPolicyRow).where(mine).values(**values, updated_at=func.pavo_now())
    return (await session.scalars(changing.returning(ToolPolicyRow.id))).one_or_none() is not None


async def remove(session: AsyncSession, policy_id: uuid.UUID) -> bool:
    """Remove an organisation's policy; False: there is none."""
    mine = and_(ToolPolicyRow.id == policy_id, ToolPolicyRow.subject_id.is_(None))
    removed = await session.scalars(delete(ToolPolicyRow).where(mine).returning(ToolPolicyRow.id))
    return removed.one_or_none() is not None


async def effects_of(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, str, str]]:
    """What organisations say of tools: organisation, tool, effect."""
    row = ToolEffectRow
    query = select(row.organisation_id, row.tool, row.effect).where(row.organisation_id.in_(organisation_ids))
    return [(organisation, tool, effect) for organisation, tool, effect in await session.execute(query)]


async def set_effect(
    session: AsyncSession, organisation_id: uuid.UUID, tool: str, effect: Effect, by: uuid.UUID | None
) -> None:
    """Say what calling a tool does."""
    told = {"effect": effect, "set_by": by, "set_at": func.pavo_now()}
    statement = insert(ToolEffectRow).values(organisation_id=organisation_id, tool=tool, **told)
    await session.execute(statement.on_conflict_do_update(index_elements=["organisation_id", "tool"], set_=told))


async def unset_effect(session: AsyncSession, organisation_id: uuid.UUID, tool: str) -> bool:
    """Take the word back; False: there was none."""
    mine = and_(ToolEffectRow.organisation_id == organisation_id, ToolEffectRow.tool == tool)
    removed = await session.scalars(delete(ToolEffectRow).where(mine).returning(ToolEffectRow.tool))
    return removed.one_or_none() is not None


def _ours(organisation_id: uuid.UUID) -> tuple[Any, Any]:
    return ToolPolicyRow.organisation_id == organisation_id, ToolPolicyRow.subject_id.is_(None)
