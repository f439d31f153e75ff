"""When an agent has nothing to do but wait for people, or for tasks that it delegated.

An attempt ends for a question only when the agent's own coroutine, and every other that it has running, waits for one,
and all that it asked of Pavo is settled: so nothing is cut in the middle, and no outcome becomes unknown. How
coroutines wait for each other is read from the event loop's tasks; a way that is not known counts as work, and where
that goes on for long it is said.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final, TypeAlias, cast
from weakref import WeakSet

from pavo.agents.asking.question import Answered, Question, Waits
from pavo.agents.asking.standstill import Standstill, Wait
from pavo.agents.delegating.delegation import Delegated, Delegation
from pavo.agents.raised import frames_of, stack_of

logger = logging.getLogger(__name__)

Awaited: TypeAlias = Question | Delegation

LOOK_SECONDS: Final = 0.05
"""Between two looks at an agent that asked."""
BESIDE_SECONDS: Final = 30.0
"""So long coroutines that the agent's own does not wait for may go on beside a question, such as a library's reader of
a connection, which never ends. So long a question may be kept back before it is said what keeps it."""
STILL_SECONDS: Final = 0.5
"""So long all of an agent's coroutines stand still, each waiting for another, before it counts."""

_of_agent: ContextVar["Waiting | None"] = ContextVar("pavo_waiting", default=None)


def _nobody(text: str) -> None:
    """Where nobody is to be told."""


class Waiting:
    """What one agent that runs `execute` waits for, and the tasks of the event loop that it started."""

    def __init__(
        self, told: Callable[[Waits], None], held: Callable[[str], None] | None = None, module: str = ""
    ) -> None:
        self._told = told
        self._held = held or _nobody
        self._standstill = Standstill(module)
        self._still: tuple[frozenset[tuple[int, int]], float] = (frozenset(), 0.0)
        """Where its coroutines stand still, and since when."""
        self._kept_since: float | None = None
        """Since when a question is kept back by nothing of Pavo's."""
        self._is_told = False
        self._open: dict[asyncio.Future[Any], Awaited] = {}
        self._asked: dict[str, int] = {}
        """In which order keys were asked: each is looked up before it waits, and what is found comes in any order."""
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._root: asyncio.Task[Any] | None = None
        self._generator: object = None
        self._unsettled = 0
        self._timer: asyncio.TimerHandle | None = None
        self._since: float | None = None
        """From when on only others than the agent's own coroutine work."""

    def begin(self) -> None:
        """The current task runs the agent: what it starts from here on is the agent's too."""
        self._root = asyncio.current_task()
        _of_agent.set(self)

    def drives(self, generator: object) -> None:
        """The task awaits this generator, which the interpreter does not tell of a task."""
        self._generator = generator

    def started(self, task: asyncio.Task[Any]) -> None:
        """The agent started a task."""
        self._tasks.add(task)

    def unsettled(self, by: int) -> None:
        """So many more (fewer) of what it asked of Pavo are under way."""
        self._unsettled += by

    def asked(self, awaited: Awaited) -> None:
        """The agent asks it, in this order."""
        self._asked.setdefault(_name(awaited), len(self._asked))

    async def wait(self, question: Question) -> Answered:
        """Wait for ever: the attempt ends meanwhile, and the next one finds the answer."""
        return cast(Answered, await self._wait(question))

    async def wait_for(self, delegation: Delegation) -> Delegated:
        """Likewise for a task that was delegated."""
        return cast(Delegated, await self._wait(delegation))

    async def _wait(self, awaited: Awaited) -> object:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._open[answer] = awaited
        self._look_soon()
        try:
            return await answer
        finally:
            self._open.pop(answer, None)

    def end(self) -> None:
        """Nobody asks any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._open:
            return
        if self._nothing_else() or self._stand_still():
            awaited = sorted(self._open.values(), key=self._number)
            questions = tuple(each for each in awaited if isinstance(each, Question))
            self._told(Waits(questions, tuple(each for each in awaited if isinstance(each, Delegation))))
            return
        self._tell_what_holds()
        self._look_soon()

    def _number(self, awaited: Awaited) -> int:
        return self._asked.get(_name(awaited), len(self._asked))

    def _nothing_else(self) -> bool:
        root = self._root
        if self._unsettled or root is None or not self._is_waiting(root, {root}):
            self._since = None
            return False
        beside = [task for task in self._tasks if task is not root and not self._is_waiting(task, {task})]
        now = asyncio.get_running_loop().time()
        self._since = self._since or now
        return not beside or now - self._since >= BESIDE_SECONDS

    def _stand_still(self) -> bool:
        """Whether all of its coroutines wait for each other, and have for a while; libraries' own may go on beside."""
        root, now = self._root, asyncio.get_running_loop().time()
        if self._unsettled or root is None:
            self._still = (frozenset(), now)
            return False
        tasks = [task for task in {root, *self._tasks} if not task.done()]
        known, place, seconds = {*tasks, *self._open}, set[tuple[int, int]](), STILL_SECONDS
        found = [(task, self._frames(task)) for task in tasks]
        judged = [(task, frames, *self._judged(task, frames, known)) for task, frames in found]
        awaited = {root}.union(*(others for _, _, _, others in judged))
        for task, frames, wait, _ in judged:
            if wait is Wait.WORK and (task in awaited or self._standstill.is_own(frames)):
                self._still = (frozenset(), now)
                return False
            if wait is not Wait.WORK:
                place.add((id(task), id(getattr(task, "_fut_waiter", None))))
            if wait is not Wait.OTHERS:
                seconds = BESIDE_SECONDS
        if (still := frozenset(place)) != self._still[0]:
            self._still = (still, now)
        return now - self._still[1] >= seconds

    def _judged(
        self, task: asyncio.Task[Any], frames: Sequence[FrameType], known: Collection[Any]
    ) -> tuple[Wait, set[Any]]:
        """What it waits for, and for which of those.

        Looked at are others' objects, whose shape another version of Python may change: that counts as work.
        """
        try:
            return self._standstill.wait_of(task, frames, known), self._standstill.awaited_of(task, frames, known)
        except Exception:
            logger.debug("What %r waits for cannot be told.", task, exc_info=True)
            return Wait.WORK, {task}

    def _tell_what_holds(self) -> None:
        """Once, after a while: else the task would seem to hang without a reason."""
        now = asyncio.get_running_loop().time()
        if self._unsettled:
            self._kept_since = None
            return
        self._kept_since = now if self._kept_since is None else self._kept_since
        if self._is_told or now - self._kept_since < BESIDE_SECONDS or self._root is None:
            return
        self._is_told = True
        asked = ", ".join(sorted(map(_name, self._open.values()), key=str)[:10])
        others = [task.get_coro() for task in self._tasks if task is not self._root and not task.done()]
        root = self._generator or self._root.get_coro()
        self._held(
            f"The agent waits for {asked}, but nobody is asked before all that it has running waits too, and for "
            f"{BESIDE_SECONDS:.0f} s something has not. It is here:\n{stack_of(root, others)}\n"
        )

    def _frames(self, task: asyncio.Task[Any]) -> Sequence[FrameType]:
        generator = self._generator if task is self._root else None
        return list(frames_of(generator)) or list(frames_of(task.get_coro()))

    def _is_waiting(self, task: asyncio.Task[Any], seen: set[Any]) -> bool:
        """Whether it can go on only when a question is answered; one that is done has nothing to do either."""
        if task.done():
            return True
        waiter: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
        if waiter is None or waiter.done():
            return False  # its turn comes
        if self._waits_on(waiter, seen):
            return True
        start = getattr(self._generator, "ag_await", None) if task is self._root else task.get_coro()
        others = _awaited_together(start)
        return others is not None and self._all_wait(others, seen)

    def _waits_on(self, future: asyncio.Future[Any], seen: set[Any]) -> bool:
        if future in self._open:
            return True
        if isinstance(future, asyncio.Task):
            if future in seen:
                return True
            seen.add(future)
            return self._is_waiting(future, seen)
        children: Iterable[asyncio.Future[Any]] | None = getattr(future, "_children", None)  # of a gather
        return children is not None and self._all_wait(children, seen)

    def _all_wait(self, futures: Iterable[asyncio.Future[Any]], seen: set[Any]) -> bool:
        left = [future for future in futures if not future.done()]
        return bool(left) and all(self._waits_on(future, seen) for future in left)


def _name(awaited: Awaited) -> str:
    return f"delegation {awaited.identity}" if isinstance(awaited, Delegation) else awaited.key


def _awaited_together(coroutine: object) -> Iterable[asyncio.Future[Any]] | None:
    """What a coroutine waits for by `asyncio.wait` (without a time limit) or at the end of a task group."""
    while (inner := _inner(coroutine)) is not None:
        coroutine = inner
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return None
    if frame.f_code is _WAIT and frame.f_locals.get("timeout") is None:
        return frame.f_locals["fs"]
    if frame.f_code is _GROUP:
        return frame.f_locals["self"]._tasks
    return None


def _inner(coroutine: object) -> object | None:
    """The coroutine that this one awaits."""
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        found = getattr(coroutine, name, None)
        if found is not None and any(hasattr(found, each) for each in ("cr_await", "gi_yieldfrom", "ag_await")):
            return found
    return None


_WAIT: Final = asyncio.tasks._wait.__code__  # pyright: ignore
_GROUP: Final = asyncio.TaskGroup.__aexit__.__code__


def follow_tasks(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Have agents' tasks on this loop be known to their `Waiting`; what it answers ends that."""
    before = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        task = before(loop, coroutine, **more) if before else asyncio.Task(coroutine, loop=loop, **more)
        given = more.get("context")
        owner = _of_agent.get() if given is None else given.get(_of_agent)
        if owner is not None and isinstance(task, asyncio.Task):
            owner.started(task)  # pyright: ignore[reportUnknownArgumentType]
        return task

    loop.set_task_factory(make)
    return lambda: loop.set_task_factory(before)
