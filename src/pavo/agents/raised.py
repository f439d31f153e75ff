"""What an agent's code raised, or where it waits, as text; whatever it is made of may be foreign code, and raise."""

import asyncio
import gc
import traceback
from collections.abc import Iterator, Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final, cast

from pavo.agents.checks import storable
from pavo.errors import AgentRefused, PavoError
from pavo.observe.hidden import without_hidden

CANCELLED_ITSELF: Final = "CancelledError: the agent cancelled itself."
"""The cause when an agent cancels the task in which it runs."""
_FRAMES: Final = 200
"""Of one stack."""
_NAMES: Final[dict[type, tuple[str, str]]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
}
"""What tells where one is, and what it awaits."""
_WRAPPERS: Final = frozenset(
    ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")
)
"""What stands between two of them, and does not tell."""
_TRACEBACK_CHARACTERS = 20_000
"""Of a traceback in the log; the middle is left out. A message may be as long as memory is."""


def described(error: BaseException) -> str:
    """An agent's exception as its task's cause: "TypeName: message", bounded and storable."""
    if issubclass(type(error), asyncio.CancelledError):
        return CANCELLED_ITSELF
    if issubclass(type(error), MemoryError):
        return "MemoryError: the agent ran out of memory."
    return storable(f"{_name(error)}: {_text(error)}")


def innermost(error: BaseException) -> BaseException:
    """The error itself, where a task group wrapped a single one."""
    while issubclass(type(error), BaseExceptionGroup):
        own = cast(Any, BaseExceptionGroup.exceptions)  # not what a subclass may call so
        inner = cast(Sequence[BaseException], own.__get__(error))
        if len(inner) != 1:
            break
        error = inner[0]
    return error


def refusal_of(error: AgentRefused) -> AgentRefused:
    """The same with nothing of the agent's in it but text."""
    detail, field, remedy = (_attribute(error, name) for name in ("detail", "field", "remedy"))
    return AgentRefused(detail or described(error), field=field, remedy=remedy)


def said_by(error: PavoError) -> tuple[str, str | None]:
    """What an error of Pavo's tree says, and the remedy; foreign code may have made it, and its class."""
    return _attribute(error, "detail") or described(error), _attribute(error, "remedy")


def _name(error: BaseException) -> str:
    return type.__dict__["__name__"].__get__(type(error))  # not what a metaclass may call so


def _attribute(error: BaseException, name: str) -> str | None:
    try:
        value = getattr(error, name, None)
    except BaseException:  # noqa: BLE001 - of the agent's class; then the cause is described without it
        return None
    return None if value is None else storable(_text(value))


def _text(value: object) -> str:
    try:
        return without_hidden(str.__str__(value) if isinstance(value, str) else str.__str__(str(value)))
    except BaseException:  # noqa: BLE001 - of the agent's class; the traceback in the log tells where it was raised
        return "(its message cannot be shown)"


def traceback_of(error: BaseException) -> str:
    """The traceback for the log, bounded."""
    try:
        lines = traceback.format_exception(error)
    except BaseException:  # noqa: BLE001 - of the agent's class; where it was raised can be told without it
        frames = traceback.format_tb(cast(Any, BaseException.__traceback__).__get__(error))
        lines = ["Traceback (most recent call last):\n", *frames, described(error)]
    return _bounded("".join(lines))


def stack_of(root: object, others: Sequence[object]) -> str:
    """Where a suspended coroutine or generator waits, outermost call first, and other ones; bounded."""
    try:
        parts = ["".join(_lines_of(root)) or "  (not in its own code)\n"]
        parts += [f"A task that it started waits here:\n{''.join(_lines_of(other))}" for other in others]
    except Exception as error:  # noqa: BLE001 - of sources that cannot be read; the failure is told without it
        parts = [f"  (it cannot be told: {type(error).__name__})"]
    return _bounded("".join(parts).rstrip())


def _lines_of(awaitable: object) -> list[str]:
    frames = ((frame, frame.f_lineno) for frame in frames_of(awaitable))
    return traceback.StackSummary.extract(frames).format()


def frames_of(awaitable: object) -> Iterator[FrameType]:
    """Where it waits, outermost call first.

    Only of Python's own types: whatever else is awaited may run code when it is looked at.
    """
    for _ in range(_FRAMES):
        names = _NAMES.get(type(awaitable))
        if names is not None:
            frame, inner = getattr(awaitable, names[0]), getattr(awaitable, names[1])
            if frame is not None:
                yield frame
        elif type(awaitable).__name__ in _WRAPPERS:
            inner = next((each for each in gc.get_referents(awaitable) if type(each) in _NAMES), None)
        else:
            return
        awaitable = inner


def _bounded(text: str) -> str:
    text, half = without_hidden(text), _TRACEBACK_CHARACTERS // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n…\n{text[-half:]}"
