"""What most commits are made of, in one statement: what has ended, what was decided, what begins.

A step costs one commit, and a statement costs its client more than it costs PostgreSQL. Whatever this does not know,
or finds otherwise than it should be, it leaves alone: `recording` writes it change by change, and says what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.errors import DivisionByZero

from pavo.flows.ledger.changes import Began, CancelTold, Change, Decided, Ended, ResultKey, Skipped
from pavo.flows.ledger.records import Hold, OutOfStep
from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnections
from pavo.timeline.domain import Event, NewEvent, numbered
from pavo.timeline.service import APPENDED_TO, append_values

_WRITE: Final = f"""
WITH run AS MATERIALIZED (
    SELECT id, cancel_asked_at IS NOT NULL AS cancel_asked FROM flow_runs
    WHERE id = %(run)s AND engine = %(engine)s AND epoch = %(epoch)s AND holder = %(holder)s AND state = 'running'
        AND seq = %(after)s AND (NOT %(begins)s OR engine <> 'local' OR lease_until > pavo_now())
        AND (NOT %(begins)s OR paused_at IS NULL OR cancel_asked_at IS NOT NULL)
    FOR UPDATE
), ended AS (
    UPDATE flow_results r SET
        state = e.state, seq = e.seq, output = e.output, error = e.error, ended_at = pavo_now(), due_at = NULL
    FROM run, jsonb_to_recordset(%(ended)s::jsonb)
        AS e(step text, item int, undoes bool, state text, seq bigint, output jsonb, error text)
    WHERE r.run_id = run.id AND r.step = e.step AND r.item = e.item AND r.undoes = e.undoes
        AND r.state IN ('running', 'timer', 'retrying', 'awaiting')
    RETURNING r.step
), decided AS (
    INSERT INTO flow_decisions (run_id, seq, what, step, value)
    SELECT run.id, d.seq, d.what, d.step, d.value
    FROM run, jsonb_to_recordset(%(decided)s::jsonb) AS d(seq bigint, what text, step text, value jsonb)
), began AS (
    INSERT INTO flow_results (run_id, step, item, undoes, state, epoch, repeatable, began_seq)
    SELECT run.id, b.step, b.item, b.undoes, 'running', %(epoch)s, b.repeatable, b.seq
    FROM run, jsonb_to_recordset(%(began)s::jsonb)
        AS b(step text, item int, undoes bool, repeatable bool, seq bigint)
), {APPENDED_TO.format("run")}
UPDATE flow_runs SET seq = %(seq)s FROM run, appended WHERE flow_runs.id = run.id
RETURNING pavo_now(), run.cancel_asked, appended.first_seq, appended.at,
    1 / ((SELECT count(*) FROM ended) = %(count)s)::int
"""
"""The last of what it gives has PostgreSQL refuse all of it where something had not been as it was read."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was written."""

    now: datetime
    """By PostgreSQL."""
    cancel_asked: bool
    told: Sequence[Event]


async def write(
    statements: KeptConnections, hold: Hold, after: int, changes: Sequence[Change], told: Sequence[NewEvent]
) -> Done | None:
    """Write changes and what is told of them, all or none; None: nothing was written, since they, or the run, are not
    as this wants them.

    Raises:
        OutOfStep: what has ended is not as this engine has read it.
        Unavailable: PostgreSQL does not answer: they may be written.
    """
    values = _values(hold, after, changes)
    if values is None or not told:
        return None
    try:
        rows = await statements.rows(_WRITE, {**values, **append_values(told)})
    except DivisionByZero as error:
        raise OutOfStep(f"What has ended of the run {hold.run_id} is not as this engine has read it.") from error
    if not rows:
        return None
    now, cancel_asked, first_seq, at, _ = rows[0]
    return Done(now, cancel_asked, numbered(hold.run_id, first_seq, at, told))


def _values(hold: Hold, after: int, changes: Sequence[Change]) -> dict[str, Any] | None:
    """Of the statement; None: it does not know one of these, or one thing changes twice."""
    began, ended, decided = list[Any](), list[Any](), list[Any]()
    keys = list[ResultKey]()
    for seq, change in enumerate(changes, after + 1):
        match change:
            case Began(key, repeatable, None):
                began.append({**key_columns(key), "repeatable": repeatable, "seq": seq})
                keys.append(key)
            case Ended(key, status, output, error):
                of_it = {"state": str(status), "seq": seq, "output": output, "error": error}
                ended.append({**key_columns(key), **of_it})
                keys.append(key)
            case Skipped() | Decided() | CancelTold():
                what, step, value = decision_of(change)
                decided.append({"seq": seq, "what": what, "step": step, "value": value})
            case _:
                return None
    if len(set(keys)) < len(keys):
        return None
    values = {"run": hold.run_id, "engine": hold.engine, "epoch": hold.epoch, "holder": hold.holder}
    values |= {"after": after, "seq": after + len(changes), "begins": bool(began), "count": len(ended)}
    lists = {"began": encode_text(began), "ended": encode_text(ended), "decided": encode_text(decided)}
    return {**values, **lists}


def decision_of(change: Skipped | Decided | CancelTold) -> tuple[str, str, dict[str, Any]]:
    """What is kept of it: of which kind it is, the step, and the rest."""
    match change:
        case Skipped(step, why):
            return "skipped", step, {"why": why}
        case Decided(step, decision, items, error):
            chosen = None if decision.chosen is None else list(decision.chosen)
            value: dict[str, Any] = {"condition": decision.condition, "chosen": chosen, "count": decision.items}
            return "decided", step, {**value, "failed": decision.failed, "items": list(items), "error": error}
        case CancelTold(compensate, why):
            return "cancel", "", {"compensate": compensate, "why": why}


def key_columns(key: ResultKey) -> dict[str, Any]:
    """Of the row of a result."""
    return {"step": key.step, "item": -1 if key.item is None else key.item, "undoes": key.undoes}
