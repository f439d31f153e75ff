"""A commit in one statement writes what it would write change by change, and nothing else."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import at_once, events, holding, recording
from pavo.flows.ledger.changes import Again, Began, CancelTold, Change, Concluded, Decided, Ended, ResultKey, Skipped
from pavo.flows.ledger.records import Hold, OutOfStep
from pavo.flows.runs import RunService
from pavo.flows.scheduler import Decision, Status
from pavo.kit.sql import Database

FLOW = "flow: f\nsteps: {a: {tool: t@1}, b: {tool: t@1}, c: {needs: b, tool: t@1}}"
A, B, C = ResultKey("a"), ResultKey("b"), ResultKey("c")
ITEM = ResultKey("c", 70)
UNDO = ResultKey("a", undoes=True)
OUTPUTS: Sequence[Any] = [None, 0, 1.5, 1e22, "", "7", 'a"\\ é\n', [], {}, {"a": [None, {"b": -1}]}, True]
COMMITS: Sequence[Sequence[Change]] = [
    [Decided("a", Decision()), Decided("b", Decision(condition=False)), Began(A, repeatable=True)],
    [Ended(A, Status.SUCCEEDED, {"x": None}), Skipped("b", "nothing leads to it"), Began(ITEM, repeatable=False)],
    [
        Decided("c", Decision(items=2), ["é", 1e22]),
        Decided("c", Decision(chosen=("a", "b"))),
        Decided("c", Decision(failed=True), error="no"),
        CancelTold(compensate=True, why="too long"),
        Ended(ITEM, Status.FAILED, error="it's"),
        Began(UNDO, repeatable=True),
    ],
    [Ended(UNDO, Status.CANCELLED), *(Began(ResultKey("c", at), repeatable=True) for at in range(len(OUTPUTS)))],
    [Ended(ResultKey("c", at), Status.SUCCEEDED, each) for at, each in enumerate(OUTPUTS)],
]


@pytest.fixture
def held(database: Database, organisation: uuid.UUID, define: Callable[..., Definition]) -> Callable[..., Any]:
    async def begun() -> Hold:
        run = await RunService(database).begin(organisation, define(FLOW), {})
        async with database.transaction() as session:
            found = await holding.claim(session, "engine", 3_600.0, run)
        assert found is not None
        return found

    return begun


async def written(database: Database, hold: Hold) -> list[Any]:
    """All of a run but what tells it from others: its id, and times as such."""
    found: list[Any] = []
    async with database.reading() as session:
        for query in (
            "SELECT state, seq, holder IS NULL, wake_at IS NULL, ended_at IS NULL FROM flow_runs WHERE id = :run",
            "SELECT step, item, undoes, state, attempt, epoch, repeatable, began_seq, seq, due_at, output::text, error,"
            " ended_at IS NULL FROM flow_results WHERE run_id = :run ORDER BY began_seq",
            "SELECT seq, what, step, value::text FROM flow_decisions WHERE run_id = :run ORDER BY seq",
            "SELECT seq, type, data::text FROM events WHERE timeline_id = :run ORDER BY seq",
        ):
            found += [tuple(row) for row in await session.execute(text(query), {"run": hold.run_id})]
    return found


async def test_both_ways_write_the_same(database: Database, held: Callable[..., Any]) -> None:
    one, other = await held(), await held()
    after = 0
    for changes in COMMITS:
        done = await at_once.write(database.kept, one, after, changes, events.of_changes(changes))
        async with database.transaction() as session:
            same = await recording.commit(session, other, after, changes)
        assert done is not None and not done.cancel_asked and not same.cancel_asked
        assert [(each.seq, each.type, each.data) for each in done.told] == [
            (each.seq, each.type, each.data) for each in same.events
        ]
        after = same.seq
        assert await written(database, one) == await written(database, other)


async def test_nothing_is_written_where_something_is_not_as_it_was_read(
    database: Database, held: Callable[..., Any]
) -> None:
    hold = await held()
    await recording.commit_at_once(database, hold, 0, [Began(A, repeatable=True)])
    before = await written(database, hold)
    for wrong in ([Ended(B, Status.SUCCEEDED)], [Ended(A, Status.SUCCEEDED), Ended(ITEM, Status.FAILED)]):
        changes: list[Change] = [Began(C, repeatable=True), Decided("b", Decision()), *wrong]
        with pytest.raises(OutOfStep):
            await at_once.write(database.kept, hold, 1, changes, events.of_changes(changes))
        assert await written(database, hold) == before
    ends: list[Change] = [Ended(A, Status.SUCCEEDED)]
    others: list[tuple[Hold, int, list[Change]]] = [
        (hold, 0, ends),
        (hold, 2, ends),
        (Hold(hold.run_id, hold.engine, hold.epoch + 1, hold.holder), 1, ends),
        (Hold(hold.run_id, hold.engine, hold.epoch, "another"), 1, ends),
        (Hold(uuid.uuid4(), hold.engine, hold.epoch, hold.holder), 1, ends),
        (hold, 1, [Again(A)]),
        (hold, 1, [Began(B, repeatable=True), Ended(B, Status.FAILED)]),
        (hold, 1, [*ends, Concluded(Status.SUCCEEDED)]),
    ]
    for one, after, changes in others:
        assert await at_once.write(database.kept, one, after, changes, events.of_changes(changes)) is None
        assert await written(database, hold) == before
    async with database.transaction() as session:
        await session.execute(text("UPDATE flow_runs SET lease_until = pavo_now() - interval '1 s'"))
    begins: list[Change] = [Began(B, repeatable=True)]
    assert await at_once.write(database.kept, hold, 1, begins, events.of_changes(begins)) is None
    assert await at_once.write(database.kept, hold, 1, ends, events.of_changes(ends)) is not None
