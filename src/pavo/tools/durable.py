"""Durable functions: an agent's own, whose calls go through the ledger as those of tools do."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload

from pydantic import create_model

from pavo.agents.asking.question import KEY
from pavo.agents.calling.functions import PREFIX, Outcome, current_caller, runs_execute
from pavo.agents.calling.request import checked_request
from pavo.agents.calling.waiting_threads import accompanied
from pavo.errors import AgentRefused
from pavo.tools.contract import DEFAULT_SECONDS, UNSAFE, Declared, Effect, ToolContext
from pavo.tools.described import MAX_NAME, Tool, check_declared
from pavo.tools.running import run_on_this_loop, run_tool

P = ParamSpec("P")
R = TypeVar("R")

_NAMELESS: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)
_YIELDING: Final = (inspect.isasyncgenfunction, inspect.isgeneratorfunction)


class DurableFunction(Generic[P, R]):
    """A function whose calls are recorded. Made by `durable`."""

    def __init__(self, function: Callable[..., Any], tool: Tool, signature: inspect.Signature) -> None:
        self._tool, self._signature = tool, signature
        self._is_async = inspect.iscoroutinefunction(function)
        functools.update_wrapper(cast(Callable[..., Any], self), function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Of an `async` function: await it. Of a plain one: on the thread of a `GeneratorAgent` alone; elsewhere `aio`.

        Raises:
            ToolFailed: it failed, which is recorded too.
            AgentRefused: this is no place to call it, its arguments are no JSON, or a person said to stop.
        """
        if self._is_async:
            return cast(R, self.aio(*args, **kwargs))
        thread = accompanied()
        if thread is not None:
            return thread.wait(self.aio(*args, **kwargs))
        if current_caller() is None:
            raise self._not_here()
        raise AgentRefused(
            f"{self._tool.name} is a plain function: called so, it would block its agent.",
            remedy=f"Write `await {self._tool.function.__name__}.aio(…)`.",
        )

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call it from a coroutine, whichever kind it is; a plain one runs on a thread of its own."""
        caller = current_caller()
        if caller is None:
            raise self._not_here()
        given = self._signature.bind(*args, **kwargs)
        given.apply_defaults()
        request = checked_request(self._tool.name, given.arguments, None)

        async def run(call_id: str) -> Outcome:
            runs_execute(None)  # this task is the call's own: what it calls in its turn is no call of the agent's
            context = ToolContext(call_id, *caller.ids)
            call = run_on_this_loop if self._is_async else run_tool
            return await call(self._tool, request.arguments, context)

        return await caller.function(request, self._tool.effect, run)

    def _not_here(self) -> AgentRefused:
        return AgentRefused(
            f"{self._tool.name} is durable: it is called in the execute() of an agent, and there in no other durable "
            "function and no thread that the agent made.",
            remedy=f"Elsewhere call {self._tool.function.__name__}.__wrapped__.",
        )


@overload
def durable(function: Callable[P, R], /) -> DurableFunction[P, R]: ...
@overload
def durable(
    *, effect: Effect = UNSAFE, seconds: float = DEFAULT_SECONDS, name: str | None = None
) -> Callable[[Callable[P, R]], DurableFunction[P, R]]: ...
def durable(
    function: Callable[..., Any] | None = None,
    /,
    *,
    effect: Effect = UNSAFE,
    seconds: float = DEFAULT_SECONDS,
    name: str | None = None,
) -> Any:
    """Have each call of a function be recorded, so that it is made once however often an agent begins again.

    As `ctx.call` does for tools: what a call answered is found again; one that was cut in the middle runs again where
    it is `read` or `idempotent`, and people are asked whether it happened where it is `unsafe`. Arguments and results
    are JSON. A parameter of the type `ToolContext` is filled by Pavo and brings the idempotency key. A call is known by
    the checkpoint after which it is made, its function and arguments, and how many of these came before it.

    Args:
        effect: `read`, `idempotent` or `unsafe`; what is not said is `unsafe`.
        seconds: for so long a call may take.
        name: names it in ledger and timeline; default: its module and name. Change neither while tasks are under way.

    Raises:
        TypeError, ValueError: the function cannot be durable; the text says what to change.
    """

    def wrap(function: Callable[..., Any]) -> DurableFunction[Any, Any]:
        tool, signature = _described(function, Declared(effect, seconds), name)
        return DurableFunction(function, tool, signature)

    return wrap if function is None else wrap(function)


def _described(function: Any, declared: Declared, name: str | None) -> tuple[Tool, inspect.Signature]:
    if not inspect.isfunction(function) or any(kind(function) for kind in _YIELDING):
        raise TypeError(f"durable: {function!r} is no function that answers once")
    own = PREFIX + (name or _name_of(function))
    if not KEY.fullmatch(own) or len(own) > MAX_NAME:
        most = MAX_NAME - len(PREFIX)
        raise ValueError(f"durable: {own!r} is no name: give name=, in at most {most} letters, digits and _ . -")
    check_declared(own, declared)
    signature = inspect.signature(function)
    for each in signature.parameters.values():
        if each.kind in _NAMELESS:
            raise TypeError(f"durable: {own}: {each} cannot be given by name")
    context = _context_of(function, signature)
    left = [each for each in signature.parameters.values() if each.name != context]
    told = (inspect.getdoc(function) or "", declared.effect, float(declared.seconds))
    return Tool(own, *told, create_model("Any"), function, context), signature.replace(parameters=left)


def _name_of(function: Any) -> str:
    """Its module and name; where that is long, the end of its name and a digest of all."""
    full = f"{function.__module__}.{function.__qualname__}".replace(".<locals>", "")
    if len(full) <= MAX_NAME - len(PREFIX):
        return full
    return f"{function.__name__[:30]}-{hashlib.sha256(full.encode()).hexdigest()[:12]}"


def _context_of(function: Any, signature: inspect.Signature) -> str | None:
    hints: Mapping[str, Any] = inspect.get_annotations(function)
    of_it = [name for name in signature.parameters if hints.get(name) in (ToolContext, "ToolContext")]
    return of_it[0] if of_it else None
