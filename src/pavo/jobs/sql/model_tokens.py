"""Tokens of the model gateway for attempts at jobs. Every function works in its caller's session."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.gates.domain import Subject
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.domain import IN_PROGRESS, NOUN
from pavo.llm.gateway.bearers import Bearer, hash_of
from pavo.usage.domain import Payer

SCOPE: Final = "job"
"""Of a job's calls of models: they have no versions of a plan."""
MOST: Final = 20
"""Tokens of one attempt: its agent asks for one whenever it starts the coding program."""
_STAGES: Final = ", ".join(f"'{stage}'" for stage in IN_PROGRESS)
_HELD: Final = f"j.epoch = :epoch AND j.stage IN ({_STAGES}) AND j.deleted_at IS NULL"


_OPTIONS: Final = text(f"""
SELECT j.options FROM jobs j WHERE j.id = :job AND {_HELD} AND j.lease_until > pavo_now() FOR SHARE
""")
_FORGET: Final = text("""
DELETE FROM job_model_tokens WHERE job_id = :job AND (epoch < :epoch OR expires_at < pavo_now() OR hash NOT IN (
    SELECT hash FROM job_model_tokens WHERE job_id = :job AND epoch = :epoch ORDER BY created_at DESC LIMIT :most
))
""")
_ADD: Final = text("""
INSERT INTO job_model_tokens (hash, job_id, epoch, agent_token_id, expires_at)
VALUES (:hash, :job, :epoch, :agent_token, pavo_now() + make_interval(secs => :seconds)) RETURNING expires_at
""")


async def options_of(session: AsyncSession, held: HeldJob) -> Mapping[str, Any] | None:
    """The options of the attempt's job, which it holds until the session commits; None: it does not hold it."""
    return (await session.scalars(_OPTIONS, {"job": held.job_id, "epoch": held.epoch})).one_or_none()


async def add(session: AsyncSession, token: str, held: HeldJob, agent_token_id: uuid.UUID, seconds: float) -> datetime:
    """Make a token good for an attempt that holds its job; until when. Of those that it had before the newest stay."""
    mine = {"job": held.job_id, "epoch": held.epoch}
    await session.execute(_FORGET, {**mine, "most": MOST - 1})
    values = {**mine, "hash": hash_of(token), "agent_token": agent_token_id, "seconds": seconds}
    return (await session.scalars(_ADD, values)).one()


_FIND: Final = text(f"""
SELECT t.job_id, t.epoch, j.organisation_id, j.created_by, j.program,
    j.epoch = t.epoch AND j.stage IN ({_STAGES}) AND j.lease_until > pavo_now() AND t.expires_at > pavo_now()
        AND j.agent_id IS NOT NULL AND k.revoked_at IS NULL AND coalesce(k.expires_at > pavo_now(), true) AS is_good
FROM job_model_tokens t JOIN jobs j ON j.id = t.job_id JOIN agent_tokens k ON k.id = t.agent_token_id
WHERE t.hash = :hash AND j.deleted_at IS NULL
""")


async def find(session: AsyncSession, token: str) -> Bearer | None:
    """Whose the token is; None: nobody's."""
    hash_ = hash_of(token)
    row = (await session.execute(_FIND, {"hash": hash_})).one_or_none()
    if row is None:
        return None
    subject = Subject(row.job_id, row.organisation_id, SCOPE, NOUN)
    payer = Payer(subject, row.created_by, row.program, noun="job", asks=False)
    # An answer is never played to another attempt: its conversation is another one.
    place = f"attempt-{row.epoch}"
    return Bearer(subject, row.epoch, place, row.is_good, hash_, payer, partial(_holds, row.job_id, hash_))


_HOLDS: Final = text(f"SELECT 1 FROM jobs j WHERE j.id = :job AND {_HELD} FOR SHARE")
_LOCK: Final = text("SELECT 1 FROM job_model_tokens WHERE hash = :hash FOR UPDATE")


async def _holds(job_id: uuid.UUID, hash_: bytes, session: AsyncSession, epoch: int) -> bool:
    """Whether the attempt holds its job until the session commits; one call of a token at a time."""
    held = (await session.execute(_HOLDS, {"job": job_id, "epoch": epoch})).first() is not None
    return held and (await session.execute(_LOCK, {"hash": hash_})).first() is not None
