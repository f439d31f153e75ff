"""SQL of the agents' health: what pings tell, who is pinged how, and whose silence nobody else would notice."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Boolean, Text, Uuid

from pavo.jobs.agents.health_contracts import PingRecorded, PingTarget
from pavo.kit.sql import Database

MAX_FAILED: Final = 3
"""Failed pings in a row that mean offline."""

_TARGET: Final = text("SELECT online, session, queue FROM remote_agents WHERE id = :agent_id")
# A ping that was recorded last counts no more, nor does one of an older session, nor of an agent that is offline: only
# its next Hello says that it is there.
_RECORD: Final = text("""
WITH told AS (
    SELECT * FROM unnest(:agents, :sessions, :failed, :keys) AS t (id, session, failed, key)
), written AS (
    UPDATE remote_agents a SET
        failed_pings = CASE WHEN told.failed THEN a.failed_pings + 1 ELSE 0 END,
        seen_at = CASE WHEN told.failed THEN a.seen_at ELSE pavo_now() END,
        online = NOT (told.failed AND a.failed_pings + 1 >= :most),
        queue = CASE WHEN told.failed AND a.failed_pings + 1 >= :most THEN NULL ELSE a.queue END,
        gateway = CASE WHEN told.failed AND a.failed_pings + 1 >= :most THEN NULL ELSE a.gateway END,
        scheduled = a.scheduled AND NOT (told.failed AND a.failed_pings + 1 >= :most),
        last_ping = told.key
    FROM told
    WHERE a.id = told.id AND a.session = told.session AND a.online
      AND (told.key = '' OR a.last_ping <> told.key)
    RETURNING a.id, a.online, a.failed_pings
)
SELECT a.id, a.name, coalesce(w.online, a.online AND a.session = told.session) AS online,
    coalesce(w.failed_pings, a.failed_pings) AS failed_pings, w.id IS NOT NULL AS counted
FROM told JOIN remote_agents a ON a.id = told.id LEFT JOIN written w ON w.id = told.id
""").bindparams(
    bindparam("agents", type_=ARRAY(Uuid)),
    bindparam("sessions", type_=ARRAY(BigInteger)),
    bindparam("failed", type_=ARRAY(Boolean)),
    bindparam("keys", type_=ARRAY(Text)),
)
_CHOOSE: Final = text("""
UPDATE remote_agents SET scheduled = (
    SELECT count(*) FROM remote_agents o WHERE o.online AND o.scheduled AND o.id <> :agent_id
) < :most
WHERE id = :agent_id AND online RETURNING organisation_id, scheduled
""")
_STANDING: Final = text("""
SELECT a.organisation_id, a.online, EXISTS (
    SELECT FROM remote_agents o WHERE o.online AND o.organisation_id IS NOT DISTINCT FROM a.organisation_id
) AS accompanied
FROM remote_agents a WHERE a.id = :agent_id
""")
_IN_ROUNDS: Final = text("""
SELECT id, session FROM remote_agents WHERE gateway = :gateway AND online AND NOT scheduled ORDER BY id
""")
_SCHEDULED: Final = text("SELECT id FROM remote_agents WHERE online AND scheduled")
_GONE: Final = text("""
SELECT t.id FROM unnest(:agents) AS t (id) WHERE NOT EXISTS (SELECT FROM remote_agents a WHERE a.id = t.id)
""").bindparams(bindparam("agents", type_=ARRAY(Uuid)))
# Its gateway pings it in rounds and is gone: the moment's number makes it one failure, however many workers look.
_SILENT: Final = text("""
SELECT id, session, 'silent:' || floor(extract(epoch FROM pavo_now()) / :every) AS key
FROM remote_agents
WHERE online AND NOT scheduled
  AND coalesce(greatest(seen_at, connected_at), created_at) < pavo_now() - make_interval(secs => :silence)
""")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a ping has left in its agent's row."""

    agent_id: uuid.UUID
    name: str
    online: bool
    failed_pings: int
    counted: bool
    """False: it was counted before, or says nothing about the present session."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agent stands, and whether any of its organisation is left."""

    organisation_id: uuid.UUID | None
    online: bool
    accompanied: bool
    """Whether at least one agent of the organisation is online."""


@dataclass(frozen=True, slots=True)
class Session:
    """The session of an agent."""

    agent_id: uuid.UUID
    session: int


async def target_of(database: Database, agent_id: uuid.UUID) -> PingTarget | None:
    """Where an agent is to be pinged; None where there is no such agent any more."""
    found = await _one(database, _TARGET, agent_id=agent_id)
    return None if found is None else PingTarget(found.online, found.session, found.queue)


async def record(database: Database, told: Sequence[PingRecorded]) -> Sequence[Recorded]:
    """Count what pings of different agents told, in one statement; agents that are gone are left out."""
    values = {
        "agents": [uuid.UUID(each.agent_id) for each in told],
        "sessions": [each.session for each in told],
        "failed": [each.failed for each in told],
        "keys": [each.key for each in told],
        "most": MAX_FAILED,
    }
    async with database.transaction() as session:
        rows = (await session.execute(_RECORD, values)).all()
    return [Recorded(row.id, row.name, row.online, row.failed_pings, row.counted) for row in rows]


async def choose(database: Database, agent_id: uuid.UUID, most: int) -> tuple[uuid.UUID | None, bool] | None:
    """Decide whether an agent that has come has a schedule of its own: its organisation, and whether. None: it is not
    online.

    Args:
        most: so many agents have one.
    """
    async with database.transaction() as session:
        row = (await session.execute(_CHOOSE, {"agent_id": agent_id, "most": most})).one_or_none()
    return None if row is None else (row.organisation_id, row.scheduled)


async def standing_of(database: Database, agent_id: uuid.UUID) -> Standing | None:
    """How an agent stands; None where there is no such agent any more."""
    row = await _one(database, _STANDING, agent_id=agent_id)
    return None if row is None else Standing(row.organisation_id, row.online, row.accompanied)


async def in_rounds(database: Database, gateway: uuid.UUID) -> Sequence[Session]:
    """Whom the rounds of a gateway ping."""
    async with database.reading() as session:
        rows = (await session.execute(_IN_ROUNDS, {"gateway": gateway})).all()
    return [Session(row.id, row.session) for row in rows]


async def scheduled(database: Database) -> set[uuid.UUID]:
    """Who is online and has a schedule of its own."""
    async with database.reading() as session:
        return set((await session.scalars(_SCHEDULED)).all())


async def gone(database: Database, agent_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these agents were removed."""
    async with database.reading() as session:
        return set((await session.scalars(_GONE, {"agents": list(agent_ids)})).all())


async def silent(database: Database, every: float, silence: float) -> Sequence[PingRecorded]:
    """Failures of agents in rounds that no gateway has heard for `silence` seconds: one each in `every` seconds."""
    async with database.reading() as session:
        rows = (await session.execute(_SILENT, {"every": every, "silence": silence})).all()
    return [PingRecorded(str(row.id), row.session, failed=True, key=row.key) for row in rows]


async def _one(database: Database, statement: Any, **values: Any) -> Row[Any] | None:
    async with database.reading() as session:
        return (await session.execute(statement, values)).one_or_none()
