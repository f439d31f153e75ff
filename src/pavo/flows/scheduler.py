"""What a run of a flow does next: a pure account of the definition, of results and of recorded decisions.

Both engines keep one for each run, tell it what has happened, and ask for its moves. It knows no values: conditions,
branches and lists are evaluated elsewhere, and their outcome is told to it as a decision.

The rules. A step is looked at once all that it needs is over. An edge is dead when the step at its beginning was
skipped, or was a branch that went elsewhere; a step whose edges are all dead is skipped. Of the others, `all_success`
wants all to have succeeded, `any_success` one, `all_done` nothing. Then comes its condition, then its list, then it
begins. After a failure only steps that join `all_done` begin, unless the policy is `continue`.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pavo.flows.definition.definition import Definition


class Status(StrEnum):
    """Of a step, or of an item of one."""

    WAITING = "waiting"
    DECIDING = "deciding"
    """What it needs is over; its condition, branch or list is being evaluated."""
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self in _OVER


_OVER: Final = frozenset((Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.CANCELLED))
DEAD: Final = "nothing leads to it"
NEED_FAILED: Final = "what it needs did not succeed"
NO_SUCCESS: Final = "nothing that it needs succeeded"
CONDITION: Final = "its condition does not hold"
RUN_FAILED: Final = "another step failed"
RUN_CANCELLED: Final = "the run is cancelled"


@dataclass(frozen=True, slots=True)
class Work:
    """A step, or an item of one."""

    step: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a step's expressions."""

    condition: bool = True
    """Of its `if`."""
    chosen: tuple[str, ...] | None = None
    """Where its branch goes."""
    items: int | None = None
    """Length of its list."""
    failed: bool = False
    """They cannot be evaluated, or the list is too long."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be done now. Whoever asks tells the scheduler of each that it has begun, or of its end."""

    skip: Sequence[tuple[str, str]] = ()
    """Steps, and why."""
    decide: Sequence[str] = ()
    """Steps whose expressions are to be evaluated."""
    begin: Sequence[Work] = ()
    cancel: Sequence[Work] = ()
    """What runs and is to be ended."""
    compensate: Work | None = None
    """What is to be undone now; one after the other."""
    outcome: Status | None = None
    """The run is over: succeeded, failed or cancelled."""


@dataclass(slots=True)
class _Items:
    total: int
    next: int = 0
    running: set[int] = field(default_factory=set[int])
    succeeded: list[int] = field(default_factory=list[int])
    failed: bool = False
    """One has, and none begins any more."""

    @property
    def is_over(self) -> bool:
        return not self.running and (self.failed or self.next >= self.total)


class Scheduler:
    """Of one run."""

    def __init__(self, definition: Definition) -> None:
        self._definition, self._flow, self._graph = definition, definition.flow, definition.graph
        self._status = dict.fromkeys(self._flow.steps, Status.WAITING)
        self._left = {name: len(self._graph.needs[name]) for name in self._flow.steps}
        self._chosen: dict[str, frozenset[str]] = {}
        self._items: dict[str, _Items] = {}
        self._candidates = deque(name for name in self._graph.order if self._left[name] == 0)
        """Steps whose needs are over and that were not looked at."""
        self._deciding: deque[str] = deque()
        """Those to be evaluated; nobody was told yet."""
        self._undecided = 0
        self._ready: deque[str] = deque()
        self._looping: dict[str, None] = {}
        """Steps with items that have not begun."""
        self._completed: list[Work] = []
        """What succeeded and can be undone, in the order of its end."""
        self._running: dict[Work, None] = {}
        self._open = len(self._flow.steps)
        self._failed = self._cancelled = False
        self._undoing: list[Work] | None = None
        self._is_undone = True

    # What has happened

    def skipped(self, step: str) -> None:
        """It does not happen."""
        self._end(step, Status.SKIPPED)

    def decided(self, step: str, decision: Decision) -> None:
        """Its expressions are evaluated."""
        if self._status[step] is not Status.DECIDING:
            return
        self._undecided -= 1
        written = self._flow.steps[step]
        if decision.failed:
            self._end(step, Status.FAILED)
        elif not decision.condition:
            self._end(step, Status.SKIPPED)
        elif decision.chosen is not None:
            self._chosen[step] = frozenset(decision.chosen)
            self._end(step, Status.SUCCEEDED)
        elif written.for_each is not None:
            self._items[step] = _Items(decision.items or 0)
            self._loop(step)
        else:
            self._status[step] = Status.READY
            self._ready.append(step)

    def began(self, work: Work) -> None:
        """It runs."""
        self._running[work] = None
        if work.item is None:
            if work.step in self._ready:  # another engine chose it
                self._ready.remove(work.step)
            self._status[work.step] = Status.RUNNING
        elif work.item >= self._items[work.step].next:
            items = self._items[work.step]
            items.next = work.item + 1
            items.running.add(work.item)

    def put_back(self, skips: Sequence[str], begins: Sequence[Work]) -> None:
        """These moves were not made: they are judged anew."""
        self._candidates.extendleft(reversed(skips))
        self._ready.extendleft(reversed([work.step for work in begins if work.item is None]))

    def ended(self, work: Work, status: Status) -> None:
        """It has succeeded, failed or was cancelled. Told twice, it counts once."""
        if self._running.pop(work, self) is self:
            return
        if work.item is None:
            self._keep(work, status)
            self._end(work.step, status)
            return
        items = self._items[work.step]
        items.running.discard(work.item)
        self._keep(work, status)
        written = self._flow.steps[work.step].for_each
        collects = written is not None and written.on_item_failure == "collect"
        if status is Status.CANCELLED or (status is Status.FAILED and not collects):
            items.failed = True
        if items.is_over:
            over = Status.SUCCEEDED if not items.failed else Status.CANCELLED if self._cancelled else Status.FAILED
            self._looping.pop(work.step, None)
            self._end(work.step, over)

    def overruled(self, step: str, status: Status) -> None:
        """People say what has become of it: it does not begin any more."""
        if self._status[step] is Status.DECIDING:
            self._undecided -= 1
        for waiting in (self._candidates, self._deciding, self._ready):
            if step in waiting:
                waiting.remove(step)
        self._looping.pop(step, None)
        self._end(step, status)

    def cancel(self, *, compensate: bool) -> None:
        """Somebody wants the run to end."""
        self._cancelled = True
        self._is_undone = not compensate

    def compensated(self, work: Work) -> None:
        """It is undone, or cannot be; the next one follows."""
        if self._undoing and self._undoing[-1] == work:
            self._undoing.pop()

    # What follows

    def status(self, step: str) -> Status:
        """Of a step."""
        return self._status[step]

    @property
    def running(self) -> Sequence[Work]:
        """What has begun and not ended."""
        return tuple(self._running)

    def moves(self) -> Moves:
        """What is to be done now. Skips come alone: what they lead to follows once they are told."""
        while True:
            skip = self._look()
            if skip:
                return Moves(skip=skip)
            decide, begin = self._decisions(), self._begins()
            if decide or begin or self._running or self._undecided:
                return Moves(decide=decide, begin=begin, cancel=self._cancels())
            if not self._candidates:  # giving up brings some
                return self._last()

    def _look(self) -> list[tuple[str, str]]:
        """Judge steps whose needs are over: those to skip, and why."""
        found: list[tuple[str, str]] = []
        while self._candidates:
            step = self._candidates.popleft()
            if self._status[step].is_over:  # people have said what became of it
                continue
            why = self._why_not(step)
            if why is not None:
                found.append((step, why))
                continue
            self._status[step] = Status.DECIDING
            self._undecided += 1
            if self._has_expressions(step):
                self._deciding.append(step)
            else:
                self.decided(step, Decision())
        return found

    def _why_not(self, step: str) -> str | None:
        """Why a step whose needs are over does not begin."""
        if self._cancelled:
            return RUN_CANCELLED
        join = self._flow.steps[step].join
        needs = self._graph.needs[step]
        alive = [each for each in needs if not self._is_dead(each, step)]
        if needs and not alive:
            return DEAD
        succeeded = [each for each in alive if self._status[each] is Status.SUCCEEDED]
        if join == "all_success" and len(succeeded) < len(alive):
            return NEED_FAILED
        if join == "any_success" and needs and not succeeded:
            return NO_SUCCESS
        if self._failed and join != "all_done" and self._flow.on_failure.policy != "continue":
            return RUN_FAILED
        return None

    def _is_dead(self, need: str, step: str) -> bool:
        """Whether the edge between them is."""
        if self._status[need] is Status.SKIPPED:
            return True
        chosen = self._chosen.get(need)
        return chosen is not None and step not in chosen and step in self._targets(need)

    def _targets(self, branch: str) -> frozenset[str]:
        cases = self._flow.steps[branch].branch or ()
        return frozenset(each for case in cases for each in ((case.go,) if isinstance(case.go, str) else case.go))

    def _has_expressions(self, step: str) -> bool:
        written = self._flow.steps[step]
        return written.condition is not None or written.branch is not None or written.for_each is not None

    def _decisions(self) -> list[str]:
        found = list(self._deciding)
        self._deciding.clear()
        return found

    def _begins(self) -> list[Work]:
        """As many as the limit has room for: steps first, then items."""
        if self._cancelled or (self._failed and self._flow.on_failure.policy != "continue"):
            self._give_up()
        room = self._flow.limits.in_flight - len(self._running)
        found: list[Work] = []
        while self._ready and len(found) < room:
            found.append(Work(self._ready.popleft()))
        for step in tuple(self._looping):
            found += self._items_to_begin(step, room - len(found))
        return found

    def _items_to_begin(self, step: str, room: int) -> list[Work]:
        items, written = self._items[step], self._flow.steps[step].for_each
        parallel = written.parallel if written is not None else 1
        count = min(room, parallel - len(items.running), items.total - items.next)
        if items.failed or count <= 0:
            return []
        return [Work(step, items.next + each) for each in range(count)]

    def _give_up(self) -> None:
        """After a failure only what wants to see it begins, and its items; when the run is cancelled nothing does."""
        for step in [each for each in self._ready if not self._sees_failure(each)]:
            self._ready.remove(step)
            self._end(step, Status.CANCELLED)
        for step in [each for each in self._looping if not self._sees_failure(each)]:
            items = self._items[step]
            items.failed = True
            if items.is_over:
                self._looping.pop(step)
                self._end(step, Status.CANCELLED)

    def _sees_failure(self, step: str) -> bool:
        return not self._cancelled and self._flow.steps[step].join == "all_done"

    def _cancels(self) -> list[Work]:
        """What runs and should not."""
        if self._cancelled:
            return list(self._running)
        if self._failed and self._flow.on_failure.policy == "cancel":
            return [each for each in self._running if not self._sees_failure(each.step)]
        return []

    def _last(self) -> Moves:
        """All steps are over."""
        outcome = Status.CANCELLED if self._cancelled else Status.FAILED if self._failed else Status.SUCCEEDED
        if self._undoing is None:
            wanted = not self._is_undone if self._cancelled else self._failed and self._flow.on_failure.compensate
            self._undoing = list(self._completed) if wanted else []
        return Moves(compensate=self._undoing[-1]) if self._undoing else Moves(outcome=outcome)

    def _loop(self, step: str) -> None:
        if self._items[step].total == 0:
            self._end(step, Status.SUCCEEDED)
            return
        self._status[step] = Status.RUNNING
        self._looping[step] = None

    def _keep(self, work: Work, status: Status) -> None:
        """Remember what may have to be undone."""
        if status is Status.SUCCEEDED and self._flow.steps[work.step].compensate is not None:
            self._completed.append(work)

    def _end(self, step: str, status: Status) -> None:
        if self._status[step].is_over:
            return
        self._status[step] = status
        self._open -= 1
        self._failed = self._failed or status is Status.FAILED
        for each in self._graph.needed_by[step]:
            self._left[each] -= 1
            if self._left[each] == 0:
                self._candidates.append(each)


def statuses(scheduler: Scheduler, definition: Definition) -> Mapping[str, Status]:
    """Of all steps."""
    return {name: scheduler.status(name) for name in definition.flow.steps}
