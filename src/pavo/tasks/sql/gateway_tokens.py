"""The tokens of the gateway: each is good for one attempt, and kept as its hash."""

import uuid
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, Text, Uuid, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from pavo.gates.domain import Subject
from pavo.kit.sql import Base
from pavo.llm.gateway.bearers import Bearer, hash_of
from pavo.tasks.sql import lease
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.usage.domain import Payer

PLAN: Final = "plan"
"""The place of what plans."""
_MOMENT = DateTime(timezone=True)
_PAYER: Final = (TaskRow.created_by, TaskRow.agent_type)


class GatewayTokenRow(Base):
    """A token that an attempt at a task has handed to what its agent runs."""

    __tablename__ = "gateway_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256."""
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    organisation_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Of the attempt: once there is a newer one, the token is good for nothing."""
    scope: Mapped[str] = mapped_column(Text)
    """The version of the plan that is made or executed."""
    place: Mapped[str | None] = mapped_column(Text)
    """What is under way, where it is no checkpoint: `plan`."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


async def add(session: AsyncSession, token: str, subject: Subject, epoch: int, place: str | None) -> None:
    """Make a token good for this attempt."""
    told = {"task_id": subject.id, "organisation_id": subject.organisation_id, "scope": subject.scope}
    session.add(GatewayTokenRow(hash=hash_of(token), epoch=epoch, place=place, **told))
    await session.flush()


async def follow(session: AsyncSession, token: str, epoch: int) -> None:
    """The agent that has it goes on in another attempt."""
    mine = GatewayTokenRow.hash == hash_of(token)
    await session.execute(update(GatewayTokenRow).where(mine).values(epoch=epoch))


async def find(session: AsyncSession, token: str) -> Bearer | None:
    """Whose the token is; None: nobody's."""
    query = (
        select(GatewayTokenRow, ExecutionRow.epoch, ExecutionRow.step, ExecutionRow.holder, *_PAYER)
        .join(ExecutionRow, ExecutionRow.task_id == GatewayTokenRow.task_id)
        .join(TaskRow, TaskRow.id == GatewayTokenRow.task_id)
        .where(GatewayTokenRow.hash == hash_of(token))
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return None
    row, epoch, step, holder, user_id, agent = tuple[Any, ...](found)
    subject, works = Subject(row.task_id, row.organisation_id, row.scope), row.place is None
    is_good = row.epoch == epoch and (holder is not None or not works)
    # Its gates have the version of the plan for their scope, without the number of edits.
    payer = Payer(replace(subject, scope=subject.scope.rpartition("/")[2]), user_id, agent)
    holds = partial(_holds, subject.id, row.hash, works)
    return Bearer(subject, row.epoch, row.place or str(step + 1), is_good, row.hash, payer, holds)


async def _holds(task_id: uuid.UUID, hash_: bytes, works: bool, session: AsyncSession, epoch: int) -> bool:
    """One call of a token at a time.

    Args:
        works: whether its attempt holds the lease while it lasts; one that plans does not.
    """
    return await lease.holds(session, task_id, epoch, working=works) and await lock(session, hash_, epoch)


async def lock(session: AsyncSession, hash_: bytes, epoch: int) -> bool:
    """Keep others who show the same token waiting until the session commits; whether it is still of this attempt."""
    query = select(GatewayTokenRow.epoch).where(GatewayTokenRow.hash == hash_).with_for_update()
    return (await session.scalars(query)).one_or_none() == epoch
