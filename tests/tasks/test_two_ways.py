"""Both ways of each transition write the same: over generated states, on two copies of one task.

Where the quick way matches, the long way on the other copy leaves the same rows, and both answer the same; where it
does not match, it has written nothing.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pavo.errors import Superseded
from pavo.kit.clock import now
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import repository
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.request_statements import RequestStatements, create_in
from pavo.tasks.sql.transitions import begin_plan, open_lease, store_plan
from pavo.tasks.sql.transitions.begin_plan import ToPlan
from pavo.tasks.sql.transitions.edit_input import TaskInput, edit_input
from pavo.tasks.sql.transitions.writer import TaskWriter

EXAMPLES = 6 * int(os.environ.get("PAVO_TEST_EXAMPLES", "8"))
ME, OTHER = "me", "somebody else"
CODES = {"intern": "intern 1.0 (protocol 2)"}
CONTENT: dict[str, Any] = {"summary": "Do it", "steps": [{"title": "One", "detail": ""}]}
PLAN_HASH = d.content_hash("PLAN", 1, CONTENT)
TABLES = {"tasks": "id", "executions": "task_id", "documents": "task_id", "timelines": "id", "events": "timeline_id"}
"""By the column that holds the task's id."""
OF_ONE_COPY = (
    *("id", "task_id", "timeline_id", "workflow_id"),
    *("created_at", "updated_at", "at", "accepted_at", "opened_at"),
)


@dataclass(frozen=True, slots=True)
class State:
    """What the database holds of a task."""

    stage: str = d.INIT
    phase: str = d.PHASE_PLANNING
    generation: int = 0
    transition: int = 0
    plans: tuple[str, ...] = ()
    """Statuses of the versions from 1."""
    epoch: int = 0
    holder: str | None = None
    step: int = 0
    deaths: int = 0
    stop_hint: bool = False
    checkpoint: Any = None
    error: bool = False
    deleted: bool = False
    fence: d.Fence = field(default=d.Fence("a-run", 1, 1))
    """Of the write to come."""
    ended: bool = False
    code: str | None = None


@st.composite
def states(draw: st.DrawFn) -> State:
    """Any that can be; a lease is held in EXECUTING alone."""
    stage = draw(st.sampled_from(d.STAGES))
    return State(
        stage=stage,
        phase=draw(st.sampled_from((*d.STAGE_OF_PHASE, d.PHASE_OVER))),
        generation=draw(st.integers(0, 2)),
        transition=draw(st.integers(0, 3)),
        plans=draw(st.sampled_from(((), ("DRAFT",), ("REVIEW",), ("ACCEPTED",), ("LOCKED", "ACCEPTED")))),
        epoch=draw(st.integers(0, 3)),
        holder=draw(st.sampled_from((None, ME, OTHER))) if stage == d.EXECUTING else None,
        step=draw(st.integers(0, 3)),
        deaths=draw(st.integers(0, 2)),
        stop_hint=draw(st.booleans()),
        checkpoint=draw(st.sampled_from((None, {"n": 1}, [1.5, "x"]))),
        error=draw(st.booleans()),
        deleted=draw(st.sampled_from((False, False, False, True))),
        fence=d.Fence("a-run", draw(st.integers(1, 2)), draw(st.integers(1, 4))),
        ended=draw(st.booleans()),
        code=draw(st.sampled_from((None, CODES["intern"], CODES["intern"], "intern 0.9 (protocol 1)"))),
    )


def usual(**fixed: Any) -> st.SearchStrategy[State]:
    """States in which the quick way is meant to match, for these members; the others are any."""
    return states().map(lambda state: replace(state, deleted=False, **fixed))


class Copies:
    """Writes states into the database, and reads them back without what differs between two copies."""

    def __init__(self, database: Database, connections: KeptConnections, person: tuple[uuid.UUID, uuid.UUID]) -> None:
        self.database, self._connections = database, connections
        self.organisation, self.user = person
        self.writer = TaskWriter(connections, database, ME, lambda: CODES)

    async def put(self, state: State) -> uuid.UUID:
        """A new task in this state."""
        task_id = new_id()
        values = {
            **{"id": task_id, "organisation": self.organisation, "user": self.user, "workflow": f"w:{task_id}"},
            **{"stage": state.stage, "phase": state.phase, "generation": state.generation},
            **{"transition": state.transition},
            **{"error": '{"cause": "x"}' if state.error else None, "deleted": now() if state.deleted else None},
        }
        await self._run(
            "INSERT INTO tasks (id, organisation_id, created_by, title, prompt, agent_type, agent_options, stage,"
            " phase, workflow_id, generation, transition, error, deleted_at) VALUES (%(id)s, %(organisation)s,"
            " %(user)s, 'A title', 'Why?', 'intern', '{\"steps\": 3}', %(stage)s, %(phase)s, %(workflow)s,"
            " %(generation)s, %(transition)s, CAST(%(error)s AS jsonb), %(deleted)s)",
            values,
        )
        values = {"id": task_id, "epoch": state.epoch, "holder": state.holder, "step": state.step}
        values |= {"deaths": state.deaths, "hint": state.stop_hint, "checkpoint": json.dumps(state.checkpoint)}
        values |= {"code": state.code}
        await self._run(
            "INSERT INTO executions (task_id, epoch, holder, step, deaths, stop_hint, checkpoint, code) VALUES"
            " (%(id)s, %(epoch)s, %(holder)s, %(step)s, %(deaths)s, %(hint)s, CAST(%(checkpoint)s AS jsonb), %(code)s)",
            values,
        )
        for version, status in enumerate(state.plans, 1):
            await self._run(
                "INSERT INTO documents (id, task_id, kind, version, status, hash, content, body) VALUES (%(document)s,"
                " %(id)s, 'PLAN', %(version)s, %(status)s, %(hash)s, CAST(%(content)s AS jsonb), 'text')",
                {
                    **{"document": new_id(), "id": task_id, "version": version, "status": status},
                    **{"hash": PLAN_HASH if version == len(state.plans) else "of another version"},
                    "content": json.dumps(CONTENT),
                },
            )
        await self._run("INSERT INTO timelines (id) VALUES (%(id)s)", {"id": task_id})
        return task_id

    async def written(self, task_id: uuid.UUID) -> dict[str, Any]:
        """Every row of the task, without what differs between copies."""
        found: dict[str, Any] = {}
        for table, key in TABLES.items():
            rows = await self._connections.rows(
                f"SELECT to_jsonb(t) FROM {table} t WHERE {key} = %(id)s", {"id": task_id}
            )
            found[table] = sorted((_plain(row[0]) for row in rows), key=repr)
        nulls = "SELECT t.error IS NULL, t.receipt IS NULL FROM tasks t WHERE id = %(id)s"  # SQL's, not JSON's
        found["nulls"] = await self._connections.rows(nulls, {"id": task_id})
        return found

    async def _run(self, statement: Any, values: dict[str, Any]) -> None:
        await self._connections.rows(f"{statement} RETURNING 1", values)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    written = row.get("updated_at") != row.get("created_at")
    data = {name: value for name, value in row.get("data", {}).items() if name != "doc_id"}
    return {name: value for name, value in row.items() if name not in OF_ONE_COPY} | {
        **{"data": data, "again": written},
        "has_accepted_at": row.get("accepted_at") is not None,
    }


@pytest_asyncio.fixture(scope="module")
async def copies(database: Database) -> AsyncIterator[Copies]:
    connections = KeptConnections(database, 2)
    person = {"organisation": new_id(), "user": new_id()}
    await connections.rows("INSERT INTO organisations (id, name) VALUES (%(organisation)s, 'both') RETURNING 1", person)
    await connections.rows(
        "INSERT INTO users (id, email, organisation_id) VALUES (%(user)s, 'both@ways', %(organisation)s) RETURNING 1",
        person,
    )
    yield Copies(database, connections, (person["organisation"], person["user"]))
    await connections.close()


Way = Callable[[uuid.UUID, State], Coroutine[Any, Any, Any]]


async def compare(copies: Copies, states: st.SearchStrategy[State], quick: Way, long: Way) -> int:
    """In how many of the generated states the quick way matched; there the long way wrote and answered the same."""
    loop, matched = asyncio.get_running_loop(), 0

    async def one(state: State) -> None:
        nonlocal matched
        first, second = await copies.put(state), await copies.put(state)
        before = await copies.written(first)
        answer = await quick(first, state)
        if answer is None:
            assert await copies.written(first) == before
            return
        matched += 1
        assert answer == await long(second, state)
        after = await copies.written(first)
        assert after == await copies.written(second)
        assert after != before

    # Always the same states: how many of them the quick way knows varies.
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(states)
    def check(state: State) -> None:
        asyncio.run_coroutine_threadsafe(one(state), loop).result(60)

    await asyncio.to_thread(check)
    return matched


def shape(value: Any) -> Any:
    """An answer without what differs between two copies."""
    if isinstance(value, ToPlan):
        return shape(value.assignment), value.reviewed, list(value.feedback), value.version, value.epoch
    if isinstance(value, Assignment):
        told = value.title, value.prompt, value.agent_type, value.agent_options, value.step_seconds, value.edits
        return told, value.organisation_id, value.user_id, value.user_email
    if isinstance(value, open_lease.Opened):
        return replace(value.lease, task_id=uuid.UUID(int=0)), shape(value.assignment), value.plan
    return [(e.seq, e.type, {**e.data, "doc_id": None}, e.closes) for e in value]


async def test_a_plan_is_begun_the_same_both_ways(copies: Copies) -> None:
    async def quick(task_id: uuid.UUID, state: State) -> Any:
        begun = await begin_plan.quick(copies.writer, task_id, state.fence)
        return begun and [shape(part) for part in begun]

    async def long(task_id: uuid.UUID, state: State) -> Any:
        async with copies.database.transaction() as session:
            begun = await begin_plan.long(session, task_id, state.fence, CODES)
        return [shape(part) for part in begun]

    fresh = usual(stage=d.INIT, plans=(), generation=0)
    assert await compare(copies, states() | fresh, quick, long) >= 5


async def edited(copies: Copies, task_id: uuid.UUID) -> None:
    async with copies.database.transaction() as session:
        task = await repository.lock_task(session, task_id)
        assert task is not None
        await edit_input(session, task, replace(TaskInput.of(task), prompt="Another?"))


async def not_gone_on_with(copies: Copies, task_id: uuid.UUID, state: State) -> None:
    """No plan of before can be executed, either way; all of them are in the record."""
    after = await copies.written(task_id)
    (row,), (execution,) = after["tasks"], after["executions"]
    assert (row["phase"], row["stage"]) == (d.PHASE_PLANNING, state.stage)
    assert [plan["status"] for plan in after["documents"]] == ["LOCKED"] * len(state.plans)
    if state.plans:
        assert (execution["step"], execution["checkpoint"]) == (0, None) and execution["epoch"] > state.epoch
    assert await open_lease.quick(copies.writer, task_id, state.fence, PLAN_HASH, ended=state.ended) is None
    with pytest.raises(Superseded):
        await take(copies, task_id, state)


async def test_after_a_changed_prompt_a_plan_is_begun_anew_both_ways(copies: Copies) -> None:
    """In any state in which a task may be edited."""

    async def long(task_id: uuid.UUID, state: State) -> Any:
        try:
            async with copies.database.transaction() as session:
                return [shape(part) for part in await begin_plan.long(session, task_id, state.fence, CODES)]
        except Superseded:
            return "superseded"

    async def begun(task_id: uuid.UUID, state: State) -> Any:
        await edited(copies, task_id)
        await not_gone_on_with(copies, task_id, state)
        quick = await begin_plan.quick(copies.writer, task_id, state.fence)
        return [shape(part) for part in quick] if quick is not None else await long(task_id, state)

    async def also_edited(task_id: uuid.UUID, state: State) -> Any:
        await edited(copies, task_id)
        told = await long(task_id, state)
        if told != "superseded":
            _, reviewed, _, version, _ = told[0]
            assert reviewed is None and version == len(state.plans) + 1
        return told

    def editable(state: State) -> State:
        return replace(state, stage=d.EDITABLE[state.step % len(d.EDITABLE)])

    assert await compare(copies, usual(holder=None).map(editable), begun, also_edited) >= 5


async def test_a_plan_is_accepted_by_policy_the_same_both_ways(copies: Copies) -> None:
    """The long way stores and accepts it, and opens the lease afterwards."""

    def plan(task_id: uuid.UUID) -> NewDocument:
        return NewDocument(new_id(), task_id, "PLAN", 1, "ACCEPTED", PLAN_HASH, CONTENT, "text", d.BY_POLICY)

    async def quick(task_id: uuid.UUID, state: State) -> Any:
        accepted = await store_plan.quick(copies.writer, task_id, state.fence, plan(task_id))
        return accepted and (replace(accepted[0], task_id=uuid.UUID(int=0)), shape(accepted[1]))

    async def long(task_id: uuid.UUID, state: State) -> Any:
        async with copies.database.transaction() as session:
            made, recorded = await store_plan.long(session, state.fence, plan(task_id), (), {})
        assert made.accepted and made.plan_hash == PLAN_HASH
        opened, none = await take(copies, task_id, state)
        assert not none and isinstance(opened, open_lease.Opened)
        return replace(opened.lease, task_id=uuid.UUID(int=0)), shape(recorded)

    fence = d.Fence("a-run", 1, 1)
    fixed = {"stage": d.PLANNING, "plans": (), "holder": None, "stop_hint": False, "code": CODES["intern"]}
    planning = usual(**fixed, generation=1, transition=1, fence=fence)
    assert await compare(copies, states() | planning, quick, long) >= 5


async def take(copies: Copies, task_id: uuid.UUID, state: State) -> Any:
    async with copies.database.transaction() as session:
        return await open_lease.long(session, ME, task_id, state.fence, PLAN_HASH, ended=state.ended, codes=CODES)


async def test_a_lease_is_opened_the_same_both_ways(copies: Copies) -> None:
    async def quick(task_id: uuid.UUID, state: State) -> Any:
        opened = await open_lease.quick(copies.writer, task_id, state.fence, PLAN_HASH, ended=state.ended)
        return opened and [shape(part) for part in opened]

    async def long(task_id: uuid.UUID, state: State) -> Any:
        return [shape(part) for part in await take(copies, task_id, state)]

    executing = st.builds(
        lambda state, holder, hint: replace(state, holder=holder, stop_hint=hint),
        usual(stage=d.EXECUTING, plans=("LOCKED", "ACCEPTED"), generation=1, fence=d.Fence("a-run", 1, 4)),
        st.sampled_from((None, ME, OTHER)),
        st.booleans(),
    )
    assert await compare(copies, states() | executing, quick, long) >= 5


async def test_a_task_is_created_the_same_both_ways(copies: Copies) -> None:
    def row() -> TaskRow:
        task_id, moment = new_id(), now()
        return TaskRow(
            **{"id": task_id, "organisation_id": copies.organisation, "created_by": copies.user, "title": "A title"},
            **{"prompt": "Why?", "agent_type": "intern", "agent_options": {"steps": 3}, "auto_accept": True},
            step_seconds=2.5,
            **{"stage": d.INIT, "phase": d.PHASE_PLANNING},
            **{"workflow_id": f"w:{task_id}", "created_at": moment, "updated_at": moment},
        )

    quick, long, first = row(), row(), events.stage(d.INIT)
    recorded = await RequestStatements(copies.writer.connections).create_task(quick, first)
    async with copies.database.transaction() as session:
        assert shape(await create_in(session, long, first)) == shape(recorded)
    assert await copies.written(quick.id) == await copies.written(long.id)


@pytest.mark.parametrize("stage", d.STAGES)
async def test_builds_of_before_read_the_status_that_the_stage_has(copies: Copies, stage: str) -> None:
    """Nothing writes the column any more but the trigger of migration 0004."""
    task_id = await copies.put(State())
    statement = "UPDATE tasks SET stage = %(stage)s, status = 'of before' WHERE id = %(id)s RETURNING status"
    values = {"id": task_id, "stage": stage}
    assert await copies.writer.connections.rows(statement, values) == [(d.STATUSES[stage],)]
