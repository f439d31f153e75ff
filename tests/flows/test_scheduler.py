"""The scheduler on flows that are drawn: in whatever order things end, each step once, and none too early."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pavo.flows.definition.definition import Definition
from pavo.flows.scheduler import Decision, Moves, Scheduler, Status, Work

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "60"))
JOINS = ("all_success", "any_success", "all_done")


@st.composite
def drawn_step(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
    step: dict[str, Any] = {"needs": needs}
    if needs:
        step["join"] = draw(st.sampled_from(JOINS))
    kind = draw(st.sampled_from(("tool", "tool", "tool", "branch", "each")))
    if draw(st.booleans()):
        step["if"] = "${{ true }}"
    if kind == "branch":
        return {**step, "branch": []}
    step["tool"] = "t@1"
    if draw(st.booleans()):
        step["compensate"] = {"tool": "u@1"}
    if kind == "each":
        how = draw(st.sampled_from(("stop", "collect")))
        parallel = draw(st.integers(1, 3))
        step["for_each"] = {"in": "${{ [1] }}", "max": 9, "parallel": parallel, "on_item_failure": how}
    return step


@st.composite
def flows(draw: st.DrawFn, policies: tuple[str, ...]) -> dict[str, Any]:
    """Steps that need earlier ones; some are branches, some are done for each item, some can be undone."""
    steps: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(1, 9))):
        steps[f"s{number}"] = draw(drawn_step(list(steps)))
    for name, step in steps.items():
        if "branch" in step:
            following = [each for each, other in steps.items() if name in other["needs"]]
            ways = draw(st.lists(st.sampled_from(following), unique=True)) if following else []
            step["branch"] = [{"when": "${{ true }}", "go": [each]} for each in ways] + [{"else": True, "go": []}]
    policy = {"policy": draw(st.sampled_from(policies)), "compensate": draw(st.booleans())}
    limits = {"in_flight": draw(st.integers(1, 4))}
    return {"flow": "drawn", "on_failure": policy, "limits": limits, "steps": steps}


class Fate:
    """What becomes of each step, drawn before it begins, so that it is the same in every order."""

    def __init__(self, data: st.DataObject, definition: Definition) -> None:
        self.decisions: dict[str, Decision] = {}
        self.ends: dict[Work, Status] = {}
        for name, step in definition.flow.steps.items():
            holds = data.draw(st.booleans()) if step.condition is not None else True
            chosen, items = None, None
            if step.branch is not None:
                way = data.draw(st.integers(0, len(step.branch) - 1))
                go = step.branch[way].go
                chosen = (go,) if isinstance(go, str) else go
            if step.for_each is not None:
                items = data.draw(st.integers(0, 4))
            self.decisions[name] = Decision(holds, chosen, items, failed=data.draw(st.integers(0, 9)) == 0)
            for item in [None, *range(items or 0)]:
                failed = data.draw(st.integers(0, 3)) == 0
                self.ends[Work(name, item)] = Status.FAILED if failed else Status.SUCCEEDED


class Run:
    """Plays a scheduler to its end, and holds it to what it promises."""

    def __init__(self, definition: Definition, fate: Fate) -> None:
        self.definition, self.fate = definition, fate
        self.scheduler = Scheduler(definition)
        self.begun: list[Work] = []
        self.ended: list[Work] = []
        self.undone: list[Work] = []
        self.outcome: Status | None = None
        self.deciding: list[str] = []

    def play(self, choose: Callable[[int], int], cancel_after: int | None = None) -> None:
        for _ in range(1000):
            if cancel_after is not None and len(self.ended) >= cancel_after:
                self.scheduler.cancel(compensate=True)
            moves = self.scheduler.moves()
            if moves.outcome is not None:
                self.outcome = moves.outcome
                return
            self.follow(moves)
            running = [*self.scheduler.running, *self.deciding]
            if running and not moves.skip:
                self.end(running[choose(len(running))], moves)
        raise AssertionError("it has no end")

    def follow(self, moves: Moves) -> None:
        for step, why in moves.skip:
            assert why
            self.scheduler.skipped(step)
        self.deciding += moves.decide
        for work in moves.begin:
            self.begin(work)
        if moves.compensate is not None:
            self.undone.append(moves.compensate)
            self.scheduler.compensated(moves.compensate)

    def end(self, chosen: Work | str, moves: Moves) -> None:
        if isinstance(chosen, Work):
            status = Status.CANCELLED if chosen in moves.cancel else self.fate.ends[chosen]
            self.ended.append(chosen)
            self.scheduler.ended(chosen, status)
            self.scheduler.ended(chosen, Status.FAILED)  # told twice, it counts once
        else:
            self.deciding.remove(chosen)
            self.scheduler.decided(chosen, self.fate.decisions[chosen])

    def begin(self, work: Work) -> None:
        scheduler, flow = self.scheduler, self.definition.flow
        assert work not in self.begun, "it begins twice"
        assert all(scheduler.status(each).is_over for each in self.definition.graph.needs[work.step]), "too early"
        self.begun.append(work)
        scheduler.began(work)
        assert len(scheduler.running) <= flow.limits.in_flight
        each = flow.steps[work.step].for_each
        items = [one for one in scheduler.running if one.step == work.step]
        assert len(items) <= (each.parallel if each is not None else 1)

    def statuses(self) -> dict[str, Status]:
        return {name: self.scheduler.status(name) for name in self.definition.flow.steps}


def by_hand(definition: Definition, fate: Fate) -> dict[str, Status]:
    """What becomes of each step of a flow that continues after failures, told step by step from the rules."""
    found: dict[str, Status] = {}
    for name in definition.graph.order:
        step, needs = definition.flow.steps[name], definition.graph.needs[name]
        alive = [each for each in needs if found[each] is not Status.SKIPPED and leads_to(definition, fate, each, name)]
        succeeded = [each for each in alive if found[each] is Status.SUCCEEDED]
        joins = {"all_success": succeeded == alive, "any_success": bool(succeeded) or not needs, "all_done": True}
        decision = fate.decisions[name]
        has_expressions = step.condition is not None or step.branch is not None or step.for_each is not None
        if (needs and not alive) or not joins[step.join]:
            found[name] = Status.SKIPPED
        elif has_expressions and decision.failed:
            found[name] = Status.FAILED
        elif step.condition is not None and not decision.condition:
            found[name] = Status.SKIPPED
        elif step.branch is not None:
            found[name] = Status.SUCCEEDED
        elif step.for_each is not None:
            ends = [fate.ends[Work(name, item)] for item in range(decision.items or 0)]
            failed = Status.FAILED in ends and step.for_each.on_item_failure == "stop"
            found[name] = Status.FAILED if failed else Status.SUCCEEDED
        else:
            found[name] = fate.ends[Work(name)]
    return found


def leads_to(definition: Definition, fate: Fate, need: str, step: str) -> bool:
    cases = definition.flow.steps[need].branch
    if cases is None or fate.decisions[need].failed:
        return True
    targets = {each for case in cases for each in ([case.go] if isinstance(case.go, str) else case.go)}
    return step not in targets or step in (fate.decisions[need].chosen or ())


def undone_by_hand(run: Run) -> list[Work]:
    steps = run.definition.flow.steps
    return [
        work
        for work in reversed(run.ended)
        if steps[work.step].compensate is not None and run.fate.ends[work] is Status.SUCCEEDED
    ]


class Drawn:
    """What a test draws from."""

    def __init__(self, data: st.DataObject, define: Callable[..., Definition], policies: tuple[str, ...]) -> None:
        self.data = data
        self.definition = define(orjson.dumps(data.draw(flows(policies))))
        self.fate = Fate(data, self.definition)

    def choose(self, count: int) -> int:
        return self.data.draw(st.integers(0, count - 1))

    def run(self, cancel_after: int | None = None) -> Run:
        run = Run(self.definition, self.fate)
        run.play(self.choose, cancel_after)
        return run


slow = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(data=st.data())
def test_what_becomes_of_each_step_does_not_depend_on_the_order(
    define: Callable[..., Definition], data: st.DataObject
) -> None:
    drawn = Drawn(data, define, ("continue",))
    run = drawn.run()
    expected = by_hand(drawn.definition, drawn.fate)
    assert run.statuses() == expected
    failed = Status.FAILED in expected.values()
    assert run.outcome is (Status.FAILED if failed else Status.SUCCEEDED)
    assert run.undone == (undone_by_hand(run) if failed and drawn.definition.flow.on_failure.compensate else [])


@slow
@given(data=st.data())
def test_after_a_failure_only_what_joins_all_done_begins(
    define: Callable[..., Definition], data: st.DataObject
) -> None:
    drawn = Drawn(data, define, ("drain", "cancel"))
    run = Run(drawn.definition, drawn.fate)
    steps = drawn.definition.flow.steps
    begin = run.begin

    def checked(work: Work) -> None:
        if Status.FAILED in run.statuses().values():
            assert steps[work.step].join == "all_done"
        begin(work)

    run.begin = checked  # type: ignore[method-assign]
    run.play(drawn.choose)
    statuses = run.statuses()
    assert all(each.is_over for each in statuses.values())
    failed = Status.FAILED in statuses.values()
    assert run.outcome is (Status.FAILED if failed else Status.SUCCEEDED)
    if not failed:
        assert statuses == by_hand(drawn.definition, drawn.fate)


@slow
@given(data=st.data())
def test_a_run_that_is_cancelled_begins_nothing_more(define: Callable[..., Definition], data: st.DataObject) -> None:
    drawn = Drawn(data, define, ("drain", "continue", "cancel"))
    run = Run(drawn.definition, drawn.fate)
    run.play(drawn.choose, cancel_after=data.draw(st.integers(0, 5)))
    assert all(each.is_over for each in run.statuses().values())
    assert run.outcome in (Status.CANCELLED, Status.FAILED, Status.SUCCEEDED)
    if run.outcome is Status.CANCELLED:
        assert len(run.undone) == len(set(run.undone))


@pytest.mark.parametrize("parallel", [1, 7])
def test_a_long_list_is_done_in_order_and_at_most_so_many_at_once(
    define: Callable[..., Definition], parallel: int
) -> None:
    each: Mapping[str, Any] = {"in": "${{ [1] }}", "max": 10_000, "parallel": parallel}
    flow = {"flow": "f", "steps": {"a": {"tool": "t@1", "for_each": each}}}
    scheduler = Scheduler(define(orjson.dumps(flow)))
    assert scheduler.moves().decide == ["a"]
    scheduler.decided("a", Decision(items=10_000))
    seen = 0
    while (moves := scheduler.moves()).outcome is None:
        assert [work.item for work in moves.begin] == list(range(seen, seen + len(moves.begin)))
        seen += len(moves.begin)
        for work in moves.begin:
            scheduler.began(work)
        assert len(scheduler.running) <= parallel
        scheduler.ended(scheduler.running[0], Status.SUCCEEDED)
    assert seen == 10_000 and moves.outcome is Status.SUCCEEDED
