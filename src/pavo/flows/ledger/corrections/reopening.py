"""SQL of a run that is opened again: what is forgotten stays, as what was written of it earlier.

Works in its caller's transaction, which has locked the run's row.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.flows.ledger import recording
from pavo.flows.ledger.changes import Overruled
from pavo.flows.ledger.models import FlowDecisionRow, FlowRunRow
from pavo.flows.ledger.records import WAITING
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

_KEEP: Final = """
WITH gone AS (
    DELETE FROM flow_results WHERE run_id = :run AND step = ANY(:steps) RETURNING *
), kept AS (
    INSERT INTO flow_decisions (run_id, seq, what, step, value)
    SELECT run_id, :seq + row_number() OVER (ORDER BY began_seq), 'earlier', step, jsonb_build_object(
        'item', item, 'state', state, 'attempt', attempt, 'epoch', epoch, 'output', output, 'error', error,
        'reference', reference, 'began_seq', began_seq, 'seq', seq, 'begun_at', begun_at, 'ended_at', ended_at
    ) FROM gone
    RETURNING seq
)
SELECT coalesce(max(seq), :seq) FROM kept
"""
_FORGET: Final = """
UPDATE flow_decisions SET what = 'earlier_' || what
WHERE run_id = :run AND step = ANY(:steps) AND what IN ('skipped', 'decided', 'overruled')
"""


async def reopen(
    session: AsyncSession,
    row: FlowRunRow,
    forgotten: Collection[str],
    corrections: Sequence[Overruled],
    duration: timedelta,
    told: NewEvent,
) -> Sequence[Event]:
    """Have a run that has failed go on, under a new epoch; to be published after the commit.

    Args:
        row: locked.
        forgotten: steps whose results and decisions count no more.
        corrections: what people say of some of them.
        duration: it may take so long from now on.
        told: on its timeline, which is opened again.
    """
    which = {"run": row.id, "steps": list(forgotten)}
    await session.execute(text(_FORGET), which)
    seq: int = (await session.scalars(text(_KEEP), {**which, "seq": row.seq})).one()
    for each in corrections:
        seq += 1
        value = {"status": str(each.status), "output": each.output, "why": each.why, "who": each.who}
        written = {"run_id": row.id, "seq": seq, "what": "overruled", "step": each.step, "value": value}
        await session.execute(insert(FlowDecisionRow).values(written))
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == row.id).values(_opened(row.epoch, seq, duration)))
    await timeline.reopen(session, row.id)
    return await recording.tell(session, row.id, [told])


def _opened(epoch: int, seq: int, duration: timedelta) -> dict[str, Any]:
    """The epoch grows, so that nothing that an engine knows of the run as it was is taken for what it is."""
    held = {"holder": None, "lease_until": None, "wake_at": None, "failures": 0, "failed_seq": None}
    ended = {"ended_at": None, "result": None, "error": None}
    return {"state": WAITING, "epoch": epoch + 1, "seq": seq, "ends_by": func.pavo_now() + duration, **held, **ended}
