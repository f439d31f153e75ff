"""An organisation's queue as it is shown. Apart from its wire shapes: clients have these, and no Temporal."""

from dataclasses import asdict

from pavo.jobs.queue.service import Queue
from pavo.jobs.requests.queue_schemas import QueueOut
from pavo.jobs.requests.spending_schemas import budgets_out


def queue_out(found: Queue) -> QueueOut:
    """A queue as it is shown."""
    budgets = {job_id: budgets_out(spent) for job_id, spent in found.spending.items()}
    executing = [
        {**asdict(each), "budgets": budgets.get(each.id, []), "link": f"/api/jobs/{each.id}"} for each in found.running
    ]
    queued = [
        {
            "position": each.position,
            "why": asdict(each.why),
            "budgets": budgets.get(each.job.id, []),
            **asdict(each.job),
        }
        for each in found.queued
    ]
    return QueueOut.model_validate(
        {
            "paused": found.paused_at is not None,
            "paused_at": found.paused_at,
            "at_once": found.at_once,
            "executing": executing,
            "queued": queued,
            "counts": dict(found.counts),
            "agents": found.agents,
            "connected": found.connected,
        }
    )
