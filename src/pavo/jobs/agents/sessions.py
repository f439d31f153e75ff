"""Sessions of remote agents, as the rows know them: who opens one, where it is, and what it still owns."""

import hmac
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, Forbidden
from pavo.jobs.agents.tokens import AgentGrant
from pavo.jobs.domain import IN_PROGRESS, LEASE_SECONDS
from pavo.kit.ids import new_id

GONE_SECONDS: Final = 60
"""An agent of whose stream nothing was seen for so long is not there, whatever its row says: its gateway died."""
MAX_AGENTS: Final = 5_000
"""Of one organisation, and of the operator."""
_STAGES: Final = ", ".join(f"'{stage}'" for stage in IN_PROGRESS)
_LEASE: Final = f"pavo_now() + interval '{LEASE_SECONDS} seconds'"


@dataclass(frozen=True, slots=True)
class Described:
    """What an agent says of itself. It was checked."""

    name: str
    machine_id: str
    boot_id: str
    version: str
    labels: Sequence[str]
    programs: Sequence[str]
    capacity: int
    draining: bool
    sandbox: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has begun."""

    agent_id: uuid.UUID
    organisation_id: uuid.UUID | None
    name: str
    number: int
    """Grows with each session of the agent."""
    queue: str
    """The task queue on which its commands are taken."""


@dataclass(frozen=True, slots=True)
class HeldJob:
    """An attempt that an agent says it has."""

    job_id: uuid.UUID
    epoch: int


@dataclass(frozen=True, slots=True)
class KeptAttempt:
    """What is true of it."""

    job_id: uuid.UUID
    epoch: int
    holds: bool
    """Whether it still holds the job."""
    acked: int
    """The last line of its log that is stored."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rows say of a session that a gateway has."""

    agent_id: uuid.UUID
    number: int
    current: bool
    """Whether it is the agent's newest one, and the agent is there."""
    allowed: bool
    """Whether its token still opens anything."""
    online: bool
    drain_asked: bool


_COUNT: Final = text("SELECT count(*) FROM remote_agents WHERE organisation_id IS NOT DISTINCT FROM :organisation")
_ADD: Final = text("""
INSERT INTO remote_agents (id, organisation_id, name) VALUES (:id, :organisation, :name)
ON CONFLICT (organisation_id, name) DO NOTHING
""")
_LOCK: Final = text(f"""
SELECT id, session, machine_id, gateway,
    online AND queue IS NOT NULL AND seen_at > pavo_now() - interval '{GONE_SECONDS} seconds' AS there
FROM remote_agents WHERE organisation_id IS NOT DISTINCT FROM :organisation AND name = :name FOR UPDATE
""")
_OPEN: Final = text("""
UPDATE remote_agents SET session = :session, gateway = :gateway, queue = :queue, online = true, failed_pings = 0,
    machine_id = :machine_id, boot_id = :boot_id, version = :version, labels = :labels, programs = :programs,
    capacity = :capacity, draining = :draining, sandbox = :sandbox, connected_at = pavo_now(), seen_at = pavo_now()
WHERE id = :id
""")


async def open_session(
    session: AsyncSession,
    grant: AgentGrant,
    described: Described,
    gateway: uuid.UUID,
    queue_of: Callable[[uuid.UUID, int], str],
) -> OpenSession:
    """Begin the agent's next session; the one before writes nothing any more. The agent is made at its first.

    Args:
        queue_of: the task queue of an agent's session.

    Raises:
        Forbidden: the token is for another name.
        Conflict: another machine is there under this name, or there are too many agents.
    """
    check_name(grant, described.name)
    row = await _locked(session, grant.organisation_id, described.name)
    if row.there and row.machine_id not in ("", described.machine_id):
        raise Conflict(
            f"Another machine ({row.machine_id[:12]}) is connected as {described.name!r}; this one is "
            f"{described.machine_id[:12]}.",
            field="agent",
            remedy="Give one of the two another name, with --name, or end the other one first.",
        )
    number = row.session + 1
    queue = queue_of(row.id, number)
    values = {
        "id": row.id,
        "session": number,
        "gateway": gateway,
        "queue": queue,
        "machine_id": described.machine_id,
        "boot_id": described.boot_id,
        **_shown(described),
    }
    await session.execute(_OPEN, values)
    return OpenSession(row.id, grant.organisation_id, described.name, number, queue)


def check_name(grant: AgentGrant, name: str) -> None:
    """Raise Forbidden where the token is for another agent alone."""
    if grant.agent is not None and grant.agent != name:
        raise Forbidden(
            f"This token is for the agent {grant.agent!r} alone.",
            field="agent",
            remedy=f"Start it with the name {grant.agent!r}, or with a token for {name!r}.",
        )


async def _locked(session: AsyncSession, organisation_id: uuid.UUID | None, name: str) -> Any:
    which = {"organisation": organisation_id, "name": name}
    found = (await session.execute(_LOCK, which)).one_or_none()
    if found is not None:
        return found
    if (await session.execute(_COUNT, {"organisation": organisation_id})).scalar_one() >= MAX_AGENTS:
        raise Conflict(
            f"There are {MAX_AGENTS:,} agents, as many as there may be.",
            field="agent",
            remedy="Remove those that are not used, or connect under a name that exists.",
        )
    await session.execute(_ADD, {"id": new_id(), **which})
    return (await session.execute(_LOCK, which)).one()


def _shown(described: Described) -> Mapping[str, Any]:
    return {
        "version": described.version,
        "labels": list(described.labels),
        "programs": list(described.programs),
        "capacity": described.capacity,
        "draining": described.draining,
        "sandbox": described.sandbox,
    }


_CHANGE: Final = text("""
UPDATE remote_agents SET version = :version, labels = :labels, programs = :programs, capacity = :capacity,
    draining = :draining, sandbox = :sandbox
WHERE id = :id AND session = :session
""")


async def change_capabilities(session: AsyncSession, opened: OpenSession, described: Described) -> None:
    """What the agent can do has changed; of a session that is over nothing changes."""
    await session.execute(_CHANGE, {"id": opened.agent_id, "session": opened.number, **_shown(described)})


_NEWEST: Final = text("SELECT 1 FROM remote_agents WHERE id = :id AND session = :session")


async def is_newest(session: AsyncSession, opened: OpenSession) -> bool:
    """Whether no newer session of its agent has begun, at this gateway or another one."""
    found = await session.execute(_NEWEST, {"id": opened.agent_id, "session": opened.number})
    return found.first() is not None


_CLOSE: Final = text("""
UPDATE remote_agents SET online = false, gateway = NULL, queue = NULL WHERE id = :id AND session = :session
""")


async def close_session(session: AsyncSession, opened: OpenSession) -> None:
    """The stream has ended: the agent is away, unless it has a newer session."""
    await session.execute(_CLOSE, {"id": opened.agent_id, "session": opened.number})


_STANDING: Final = text("""
SELECT given.agent, given.session, a.session = given.session AS current, a.online, a.drain_asked,
    t.id IS NOT NULL AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > pavo_now()) AS allowed
FROM unnest(CAST(:agents AS uuid[]), CAST(:sessions AS bigint[]), CAST(:tokens AS uuid[]))
    AS given (agent, session, token)
LEFT JOIN remote_agents a ON a.id = given.agent
LEFT JOIN agent_tokens t ON t.id = given.token
""")
_SEEN: Final = text("""
UPDATE remote_agents a SET seen_at = pavo_now()
FROM unnest(CAST(:agents AS uuid[]), CAST(:sessions AS bigint[])) AS given (agent, session)
WHERE a.id = given.agent AND a.session = given.session
""")


async def standings(session: AsyncSession, held: Sequence[tuple[OpenSession, uuid.UUID]]) -> Sequence[Standing]:
    """What the rows say of these sessions, each with the id of its token."""
    values = {**_pairs([each for each, _ in held]), "tokens": [token for _, token in held]}
    rows = await session.execute(_STANDING, values)
    return [Standing(r.agent, r.session, bool(r.current), r.allowed, bool(r.online), bool(r.drain_asked)) for r in rows]


async def seen(session: AsyncSession, held: Sequence[OpenSession]) -> None:
    """Their streams live."""
    await session.execute(_SEEN, _pairs(sorted(held, key=lambda each: each.agent_id)))


def _pairs(held: Sequence[OpenSession]) -> dict[str, Any]:
    return {"agents": [each.agent_id for each in held], "sessions": [each.number for each in held]}


_RENEW: Final = text(f"""
WITH mine AS (
    SELECT j.id FROM jobs j JOIN unnest(CAST(:jobs AS uuid[]), CAST(:epochs AS bigint[])) AS given (job, epoch)
        ON j.id = given.job AND j.epoch = given.epoch
    WHERE j.agent_id = :agent AND j.stage IN ({_STAGES}) ORDER BY j.id FOR UPDATE OF j
)
UPDATE jobs SET lease_until = {_LEASE} FROM mine WHERE jobs.id = mine.id
""")
_KEPT: Final = text(f"""
SELECT given.job, given.epoch, coalesce((SELECT max(seq) FROM job_logs l
        WHERE l.job_id = given.job AND l.epoch = given.epoch AND a.job_id IS NOT NULL), 0) AS acked,
    coalesce(j.epoch = given.epoch AND j.agent_id = :agent AND j.stage IN ({_STAGES}), false) AS holds
FROM unnest(CAST(:jobs AS uuid[]), CAST(:epochs AS bigint[])) WITH ORDINALITY AS given (job, epoch, place)
LEFT JOIN jobs j ON j.id = given.job
LEFT JOIN job_attempts a ON a.job_id = given.job AND a.epoch = given.epoch AND a.agent_id = :agent
ORDER BY given.place
""")


async def renew(session: AsyncSession, agent_id: uuid.UUID, held: Sequence[HeldJob]) -> Sequence[KeptAttempt]:
    """Prolong the leases of those attempts that hold their jobs still; what is true of each."""
    if not held:
        return []
    which = {"agent": agent_id, "jobs": [each.job_id for each in held], "epochs": [each.epoch for each in held]}
    await session.execute(_RENEW, which)
    return await what_is_kept(session, agent_id, held)


async def what_is_kept(session: AsyncSession, agent_id: uuid.UUID, held: Sequence[HeldJob]) -> Sequence[KeptAttempt]:
    """What is true of each of these attempts; of another agent's nothing is stored or held."""
    which = {"agent": agent_id, "jobs": [each.job_id for each in held], "epochs": [each.epoch for each in held]}
    rows = await session.execute(_KEPT, which)
    return [KeptAttempt(row.job, row.epoch, row.holds, row.acked) for row in rows]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who calls apart from a stream."""

    grant: AgentGrant
    program: str
    """The boot id of the program, as its Hello said it; empty: it does not say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent for which a call is."""

    agent_id: uuid.UUID
    same_program: bool
    """Whether the program that asks is the one that greeted last as this agent: no older one, and nobody else."""


_NAMED: Final = text("""
SELECT id, boot_id FROM remote_agents WHERE organisation_id IS NOT DISTINCT FROM :organisation AND name = :name
""")


async def agent_named(session: AsyncSession, asking: Asking, name: str) -> Asked | None:
    """The agent of this name for which the token is; None: there is none."""
    grant = asking.grant
    if grant.agent is not None and grant.agent != name:
        return None
    row = (await session.execute(_NAMED, {"organisation": grant.organisation_id, "name": name})).one_or_none()
    return None if row is None else _asked(asking, row.id, row.boot_id)


def _asked(asking: Asking, agent_id: uuid.UUID, boot_id: str) -> Asked:
    return Asked(agent_id, bool(boot_id) and hmac.compare_digest(asking.program.encode(), boot_id.encode()))


_ATTEMPT: Final = text("""
SELECT a.agent_id, r.boot_id FROM job_attempts a JOIN remote_agents r ON r.id = a.agent_id
WHERE a.job_id = :job AND a.epoch = :epoch AND r.organisation_id IS NOT DISTINCT FROM :organisation
    AND (CAST(:agent AS text) IS NULL OR r.name = CAST(:agent AS text))
""")


async def owner_of(session: AsyncSession, asking: Asking, held: HeldJob) -> uuid.UUID:
    """The agent whose attempt it is.

    Raises:
        Forbidden: the token is not for that agent, or another program runs as it.
    """
    grant = asking.grant
    values = {
        "job": held.job_id,
        "epoch": held.epoch,
        "organisation": grant.organisation_id,
        "agent": grant.agent,
    }
    row = (await session.execute(_ATTEMPT, values)).one_or_none()
    if row is None:
        raise Forbidden("There is no such attempt for this token.", field="job_id")
    asked = _asked(asking, row.agent_id, row.boot_id)
    if not asked.same_program:
        raise another_program()
    return asked.agent_id


def another_program() -> Forbidden:
    """Who asks is not the program that greeted last under the agent's name."""
    return Forbidden(
        "Another program runs as this agent, or this one has not connected since it began.",
        field="agent",
        remedy="End one of the two, or give it another name, with --name.",
    )


_HELD: Final = text(f"SELECT id, epoch FROM jobs WHERE agent_id = :agent AND stage IN ({_STAGES}) ORDER BY id")
_DEBTS: Final = text("""
SELECT job_id, epoch FROM job_attempts
WHERE agent_id = :agent AND cleanup_owed AND late_work IS DISTINCT FROM 'owed' ORDER BY begun_at LIMIT 1000
""")
_PAID: Final = text("""
UPDATE job_attempts SET cleanup_owed = false
WHERE job_id = :job AND epoch = :epoch AND agent_id = :agent AND cleanup_owed
""")

_LAST_OF_REMOVED: Final = text("""
DELETE FROM job_attempts a USING jobs j
WHERE a.job_id = :job AND a.epoch = :epoch AND NOT a.cleanup_owed AND j.id = a.job_id AND j.deleted_at IS NOT NULL
""")


async def held_by(session: AsyncSession, agent_id: uuid.UUID) -> Sequence[HeldJob]:
    """The attempts that the agent is to be working at."""
    return [HeldJob(row.id, row.epoch) for row in await session.execute(_HELD, {"agent": agent_id})]


async def debts_of(session: AsyncSession, agent_id: uuid.UUID) -> Sequence[HeldJob]:
    """Attempts of which the agent has yet to clean up. Of lost ones it has to keep what they changed first."""
    return [HeldJob(row.job_id, row.epoch) for row in await session.execute(_DEBTS, {"agent": agent_id})]


async def pay_debt(session: AsyncSession, agent_id: uuid.UUID, cleaned: HeldJob) -> None:
    """The agent has cleaned up after an attempt of its own; of a job that was removed the attempt goes too."""
    values = {"job": cleaned.job_id, "epoch": cleaned.epoch}
    await session.execute(_PAID, {**values, "agent": agent_id})
    await session.execute(_LAST_OF_REMOVED, values)


_AGENT_OF: Final = text("SELECT agent_id FROM job_attempts WHERE job_id = :job AND epoch = :epoch")


async def agent_of(session: AsyncSession, held: HeldJob) -> uuid.UUID | None:
    """Whose attempt it is; None: there is no such attempt, or its agent was removed."""
    values = {"job": held.job_id, "epoch": held.epoch}
    return (await session.execute(_AGENT_OF, values)).scalars().one_or_none()
