"""What an API's metrics show of jobs and agents, beside how many jobs are in each stage."""

from pavo.jobs.figures import repository
from pavo.jobs.sql import waiting
from pavo.kit.sql import Database
from pavo.observe import metrics

_ALL = (
    metrics.JOBS_OLDEST,
    metrics.JOBS_SILENT,
    metrics.JOB_QUEUES_READY,
    metrics.JOB_COMMANDS_PENDING,
    metrics.REMOTE_AGENTS,
)


async def measure(database: Database) -> None:
    """Set the gauges; those that cannot be known now show nothing.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    for gauge in _ALL:
        gauge.replace({})
    async with database.reading() as session:
        found = await repository.figures(session)
    metrics.JOBS_OLDEST.set(found.oldest_queued_seconds)
    metrics.JOBS_SILENT.set(found.silent_seconds)
    metrics.JOB_COMMANDS_PENDING.set(found.pending_commands)
    for state, count in found.agents.items():
        metrics.REMOTE_AGENTS.set(count, state)
    metrics.JOB_QUEUES_READY.set(len(await waiting.ready(database)))
