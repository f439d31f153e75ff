"""What steps do on the local engine: tools, functions of the group `pavo.flow_steps`, and pages of the web.

Both groups are called through the same boundary (`tools.running`): on a thread of its own, bounded in seconds and
bytes, and total.
"""

import dataclasses
import inspect
from collections.abc import Callable, Container, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from pavo.errors import NotFound, ToolFailed, Unavailable
from pavo.flows.attempts import Attempted, Given
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.reference_checks import output_schema
from pavo.flows.definition.texts import work_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.local.secrets import NoSuchSecret, Resolving, Secrets, without
from pavo.kit.json_schema import SchemaTooCostly, misfit
from pavo.kit.threads.calls import call_in_thread
from pavo.observe.hidden import Hidden, hide_in_here
from pavo.tools.arguments import WrongArguments
from pavo.tools.builtin.web import WebPage
from pavo.tools.contract import UNSAFE, ToolContext
from pavo.tools.described import Tool
from pavo.tools.registry import ToolRegistry
from pavo.tools.running import run_tool, understood

GROUP: Final = "pavo.flow_steps"
KINDS: Final = frozenset(("tool", "python", "http", "sleep", "until", "branch"))
"""What the local engine can do."""
_PASSING: Final = (Unavailable, ConnectionError, TimeoutError)
"""What says of itself that it may pass."""
_MAX_ERROR: Final = 2_000


class Web(Protocol):
    """See `tools.builtin.web.WebReader`."""

    async def get(self, url: str) -> WebPage: ...


class LocalSteps:
    """The steps of all runs of an engine.

    Args:
        tools, functions: by name; cheap until one is asked for.
        web: reads pages, of hosts that the operator permits.
        secrets: those that steps refer to; None: no flow that does is executed.
        begun: kinds of steps that somebody else begins here, as the work of others.
    """

    def __init__(
        self,
        tools: ToolRegistry,
        functions: ToolRegistry,
        web: Web,
        secrets: Secrets | None = None,
        begun: Container[str] = (),
    ) -> None:
        self._tools, self._functions, self._web, self._secrets = tools, functions, web, secrets
        self._begun = begun

    def unable(self, definition: Definition, but: Container[str] = ()) -> Iterator[tuple[str, str]]:
        """Steps that cannot be done here, and why. It may import the tools that they name, which takes seconds.

        Args:
            but: ids of steps that somebody else does.
        """
        for name, step in definition.flow.steps.items():
            why = None if name in but else self._why_unable(step)
            if why is not None:
                yield name, why
        if definition.flow.secrets and self._secrets is None:
            yield "secrets", "references to secrets are not resolved here"

    def _why_unable(self, step: WrittenStep) -> str | None:
        if step.kind not in self._begun and (why := _not_done(step)) is not None:
            return why
        try:
            if step.compensate is not None:
                self._tool(step.compensate.tool)
            if step.kind in ("tool", "python"):
                self._function_of(step)
        except NotFound as error:
            return f"{error.detail} {error.remedy or ''}".strip()
        return None

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        """Whether an attempt that was interrupted may be made again."""
        try:
            if undoes and step.compensate is not None:
                return self._tool(step.compensate.tool).effect != UNSAFE
            return step.kind not in ("tool", "python") or self._function_of(step).effect != UNSAFE
        except NotFound:
            return True  # it fails before it has done anything

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        """Do it; whatever it does, this answers within its seconds. The secrets that it is told are hidden in what it
        logs and answers."""
        why = None if given.tool else _not_done(step)
        if why is not None:  # nobody has looked before: nothing else is done in its place
            return Attempted(error=why)
        hide_in_here(hidden := Hidden())
        try:
            known = await self._with_secrets(step, given, hidden)
        except NoSuchSecret as error:
            return Attempted(error=str(error))
        except Unavailable as error:
            return Attempted(error=error.detail, kind="transient")
        return without(hidden, await self._attempt(step, known))

    async def _with_secrets(self, step: WrittenStep, given: Given, hidden: Hidden) -> Given:
        if self._secrets is None:
            return given
        written = {"with": step.compensate.values} if given.tool and step.compensate is not None else work_of(step)
        resolving = Resolving(self._secrets, given.organisation_id, hidden)
        return dataclasses.replace(given, values=await resolving.resolved(written, given.values))

    async def _attempt(self, step: WrittenStep, given: Given) -> Attempted:
        if not given.tool and step.http is not None:
            return checked(step, await self._page(given.values["http"]))
        try:
            tool = await self._found(step, given)
        except NotFound as error:
            return Attempted(error=f"{error.detail} {error.remedy or ''}".strip())
        seconds = tool.seconds if step.timeout is None else min(tool.seconds, step.timeout.total_seconds())
        attempted = await _called(dataclasses.replace(tool, seconds=seconds), given)
        return attempted if given.tool else checked(step, attempted)

    async def _found(self, step: WrittenStep, given: Given) -> Tool:
        """Importing it, where it was not, holds up nobody else."""
        if given.tool:
            return await call_in_thread("tool", self._tool, given.tool)
        registry, name = (self._tools, step.tool or "") if step.kind == "tool" else (self._functions, step.python or "")
        if registry.is_ready(name.partition("@")[0]):
            return self._function_of(step)
        return await call_in_thread("tool", self._function_of, step)

    def _function_of(self, step: WrittenStep) -> Tool:
        return self._tool(step.tool or "") if step.kind == "tool" else self._functions.get(step.python or "")

    def _tool(self, text: str) -> Tool:
        """`NAME@1`: installed tools have no versions yet, so each is the first."""
        name, _, major = text.partition("@")
        found = self._tools.get(name)
        if major != "1":
            raise NotFound(f"There is no {text}.", field="tool", remedy=f"There is {name}@1.")
        return found

    async def _page(self, http: Mapping[str, Any]) -> Attempted:
        url = http["url"]
        if not isinstance(url, str):
            return Attempted(error="url: it is no text")
        try:
            page = await self._web.get(url)
        except ToolFailed as error:
            return Attempted(error=f"{error.detail} {error.remedy or ''}".strip()[:_MAX_ERROR], kind="transient")
        told = {"status": page.status, "headers": {"content-type": page.content_type}, "body": page.text}
        if page.status >= 400:
            kind = "transient" if page.status == 429 or page.status >= 500 else "error"
            return Attempted(error=f"{url:.200} answers {page.status}", kind=kind)
        return Attempted(told)


def _not_done(step: WrittenStep) -> str | None:
    """Why no engine of this build does such a step."""
    if step.kind not in KINDS:
        return f"no engine of this build does `{step.kind}`"
    if step.http is not None and step.http.method != "GET":
        return f"no engine of this build does {step.http.method} requests"
    if step.http is not None and (step.http.headers or step.http.body is not None):
        return "no engine of this build sends headers or a body"
    return None


class _Watched:
    """A function, and how far its call came."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.begun = self.passing = self.ended = False

    def __call__(self, **arguments: Any) -> Any:
        self.begun = True
        with self._watch():
            result = self._function(**arguments)
        if not inspect.iscoroutine(result):
            return result
        self.ended = False
        return self._awaited(result)

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with self._watch():
            return await coroutine

    @contextmanager
    def _watch(self) -> Generator[None]:
        try:
            yield
        except BaseException as error:
            self.passing = issubclass(type(error), _PASSING)
            raise
        finally:
            self.ended = True

    @property
    def kind(self) -> str:
        """Of its failure."""
        if not self.begun or self.passing:
            return "transient"
        return "error" if self.ended else "timeout"


async def _called(tool: Tool, given: Given) -> Attempted:
    try:
        arguments = (await understood(tool, given.values["with"])).arguments
    except WrongArguments as error:
        return Attempted(error=f"with: {error}"[:_MAX_ERROR])
    except Unavailable as error:
        return Attempted(error=error.detail, kind="transient")
    watched = _Watched(tool.function)
    context = ToolContext(given.idempotency_key, given.run_id, given.organisation_id)
    outcome = await run_tool(dataclasses.replace(tool, function=watched), arguments, context)
    if outcome.error is None:
        return Attempted(outcome.value)
    told = f"{outcome.error} {outcome.remedy or ''}".strip()[:_MAX_ERROR]
    return Attempted(error=told, kind=watched.kind, unknown=outcome.unknown)


def checked(step: WrittenStep, attempted: Attempted) -> Attempted:
    """Its output, if it is as the step declares."""
    if attempted.error is not None or attempted.unknown:
        return attempted
    try:
        wrong = misfit(output_schema(step), attempted.output)
    except SchemaTooCostly as error:
        return Attempted(error=str(error))
    if wrong is None:
        return attempted
    return Attempted(error=f"its output is not as declared: {wrong.message[:300]}")
