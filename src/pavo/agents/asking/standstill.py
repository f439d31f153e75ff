"""Whether an agent's coroutines wait for each other alone, so that only an answer can have one of them go on.

That a coroutine waits for a lock, a queue or an event says not for whom; but where all the others wait too, nobody is
left who could release it. What a coroutine awaits of outside itself (a timer, a connection, a thread) is work. Events
of a library may be set by its connections, so they count as work as well. Those that the agent's own code awaits do
not: who would set one from a callback, or from a thread that it began itself, is not known, and the attempt may end
before.
"""

import asyncio
import asyncio.locks
import asyncio.queues
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from inspect import getclosurevars
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

Future = asyncio.Future[Any]


class Wait(Enum):
    """What a coroutine waits for."""

    OTHERS = "the agent's own coroutines, or an answer"
    FUTURE = "a future that its own code awaits: perhaps another of them sets it, perhaps something else"
    WORK = "something that comes by itself, or it is its turn"


class Standstill:
    """Judges the tasks of one agent.

    Args:
        module: of the agent's class.
    """

    def __init__(self, module: str) -> None:
        found = sys.modules.get(module.partition(".")[0])
        folders = [f"{path}/" for path in getattr(found, "__path__", None) or ()]
        self._own = tuple(folders or [path for path in [getattr(found, "__file__", None)] if path])

    def is_own(self, frames: Iterable[FrameType]) -> bool:
        """Whether the agent's own code is in there."""
        return any(self._is_own(frame.f_code) for frame in frames)

    def wait_of(self, task: Future, frames: Sequence[FrameType], known: Collection[Future]) -> Wait:
        """What a task waits for.

        Args:
            frames: where it is, outermost call first.
            known: the agent's tasks, each of which is judged too, and the answers that are awaited.
        """
        waiter: Future | None = getattr(task, "_fut_waiter", None)
        if waiter is None or waiter.done():
            return Wait.WORK
        if waiter in known or _inner_of(waiter):
            return Wait.OTHERS if _is_inside(waiter, known) else Wait.WORK
        if not frames or not _is_inside(waiter, known):
            return Wait.WORK
        if (together := _awaited_by(frames, known)) is not None:
            return Wait.OTHERS if all(_is_inside(each, known) for each in together) else Wait.WORK
        if _is_anyio_group(frames[-1].f_code):
            return Wait.OTHERS
        caller = next((each for each in reversed(frames) if not _is_primitive(each.f_code)), None)
        if caller is None or not self._is_own(caller.f_code):
            return Wait.WORK
        return Wait.FUTURE if caller is frames[-1] else Wait.OTHERS

    def awaited_of(self, task: Future, frames: Sequence[FrameType], known: Collection[Future]) -> set[Future]:
        """What it is known to wait for, of those."""
        waiter: Future | None = getattr(task, "_fut_waiter", None)
        if waiter is None or not frames:
            return set()
        found = {waiter, *_inner_of(waiter), *(_awaited_by(frames, known) or ())}
        if _is_anyio_group(frames[-1].f_code):
            found |= set(frames[-1].f_locals["self"]._tasks)
        return {each for future in found for each in (future, *_inner_of(future)) if each in known}

    def _is_own(self, code: CodeType) -> bool:
        return code.co_filename.startswith(self._own)


def _is_inside(future: Future, known: Collection[Future]) -> bool:
    """Whether it is done by the agent's tasks, or an answer; what a thread or another's task does is outside."""
    if future.done() or future in known:
        return True
    if isinstance(future, asyncio.Task):
        return False
    inner = _inner_of(future)
    return (
        all(_is_inside(each, known) for each in inner)
        if inner
        else not any(name.startswith("_chain_future.") for name, _ in _closures(future))
    )


def _inner_of(future: Future) -> Sequence[Future]:
    """What a gather or a shield is done by."""
    if children := getattr(future, "_children", None):
        return list(children)
    return [cells["inner"] for name, cells in _closures(future) if name.startswith("shield.") and "inner" in cells]


def _closures(future: Future) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Names of what is called once it is done, with what that refers to.

    A future that a thread's outcome goes to says so in one of them.
    """
    called = [each for each, _ in getattr(future, "_callbacks", None) or () if isinstance(each, FunctionType)]
    return [(each.__qualname__, getclosurevars(each).nonlocals) for each in called]


def _awaited_by(frames: Sequence[FrameType], known: Collection[Future]) -> Iterable[Future] | None:
    """What a coroutine waits for by a function of asyncio's that says what. Its time limit, where it has one, ends
    with the attempt."""
    frame = frames[-1]
    if frame.f_code is _WAIT:
        return frame.f_locals["fs"]
    if frame.f_code is _WAIT_FOR and asyncio.isfuture(waited := frame.f_locals.get("fut")):
        return [waited]
    if frame.f_code is _GROUP:
        return frame.f_locals["self"]._tasks
    outer = frames[-2] if len(frames) > 1 else None
    if outer is None or (outer.f_code.co_name, outer.f_code.co_filename) != ("_wait_for_one", _TASKS):
        return None
    if (iterator := outer.f_locals.get("self")) is not None:  # Python 3.13
        return iterator._todo
    told = [cells for future in known for name, cells in _closures(future) if name.startswith("as_completed.")]
    return next((cells["todo"] for cells in told if cells["done"] is outer.f_locals["done"]), None)


def _is_primitive(code: CodeType) -> bool:
    if code.co_filename in _PRIMITIVES or code.co_filename.endswith(_ANYIO_PRIMITIVES):
        return True
    return code.co_filename.endswith(_ANYIO) and code.co_qualname.startswith(_ANYIO_CLASSES)


def _is_anyio_group(code: CodeType) -> bool:
    return code.co_filename.endswith(_ANYIO) and code.co_qualname == "TaskGroup.__aexit__"


_WAIT: Final = asyncio.tasks._wait.__code__  # pyright: ignore
_WAIT_FOR: Final = asyncio.tasks.wait_for.__code__
_GROUP: Final = asyncio.TaskGroup.__aexit__.__code__
_TASKS: Final = _WAIT_FOR.co_filename
_PRIMITIVES: Final = frozenset((asyncio.locks.__file__, asyncio.queues.__file__))
_ANYIO: Final = "anyio/_backends/_asyncio.py"
_ANYIO_PRIMITIVES: Final = ("anyio/_core/_synchronization.py", "anyio/streams/memory.py", "anyio/abc/_streams.py")
_ANYIO_CLASSES: Final = ("Event.", "Lock.", "Semaphore.", "CapacityLimiter.")
