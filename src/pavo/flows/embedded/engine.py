"""An engine in the place of one that keeps its state in memory: the same methods, on Temporal, and without it."""

import asyncio
import atexit
import re
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, Final, Literal, TypedDict, TypeVar

from pavo import config
from pavo.config import Settings
from pavo.errors import Conflict, InvalidInput, NotFound, Unavailable
from pavo.flows.building.flow import Flow
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.embedded.actions import Actions
from pavo.flows.embedded.hosting import Hosted, Program, hosting
from pavo.flows.embedded.registering import defined
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.changes import Answer, ResultKey
from pavo.flows.ledger.records import LOCAL, OVER, TEMPORAL, History, RunRecord
from pavo.flows.progress import progress_of
from pavo.flows.scheduler import Status
from pavo.kit.threads.loop import LoopInThread

T = TypeVar("T")

LOOK_SECONDS: Final = 0.1
"""Between looks at a run that is waited for."""
CALL_SECONDS: Final = 60.0
"""For a method to answer."""
CLOSE_SECONDS: Final = 60.0
"""For everything to end; more than what is in flight is given."""
FALLS_BACK_AFTER: Final = 5.0
"""Seconds for which Temporal does not take a run before the local engine has it."""
MOST_RUNS: Final = 1_000
"""That are listed."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class RunStatus(TypedDict):
    """A run, as a program sees it."""

    id: str
    flow: str
    state: Literal["running", "succeeded", "failed", "cancelled"]
    engine: Literal["temporal", "local"]
    """That has it now."""
    results: Mapping[str, Any]
    """What the steps have given that succeeded so far, by their names; lists of the items of those with `for_each`."""
    asks: Sequence[str]
    """Steps of which nobody knows whether they happened; see `answer`."""
    output: Any
    """What the flow gives, once it has succeeded."""
    error: str | None


class TemporalWorkflowEngine:
    """Executes flows durably, with a simple engine's methods: on Temporal, and on PostgreSQL alone while that is away.

    Its threads begin with the first call, and end with `close`, or as a context manager. What is in flight then, and
    what a process that was killed has left, goes on with the next process of the same program; several processes share
    the runs. A function that was interrupted is called again where `pavo.tools.tool` says that it may be (`read`,
    `idempotent`); of others the program is asked.

    Args:
        program: its name; runs of one program are executed by its processes alone.
        actions: functions by name, as steps call them; each is called on a thread of its own.
        settings: where PostgreSQL and Temporal are. Default: as the environment says, see docs/configuration.md.
        organisation: whose runs they are: its id or name. Default: as `--org` of the commands.
        falls_back_after: seconds for which Temporal does not take a run before it is executed without.

    Raises:
        InvalidInput: the name or an action cannot be; the text says what to change.
        ConfigurationError: the environment is wrong.
    """

    def __init__(
        self,
        program: str,
        actions: Mapping[str, Callable[..., Any]],
        *,
        settings: Settings | None = None,
        organisation: str | None = None,
        falls_back_after: float = FALLS_BACK_AFTER,
    ) -> None:
        if not _NAME.fullmatch(program):
            remedy = "Take at most 63 small letters, digits and hyphens."
            raise InvalidInput(f"{program[:100]!r} is no name of a program.", field="program", remedy=remedy)
        self._actions = Actions(actions)
        self._program = Program(program, organisation, self._actions, falls_back_after)
        self._settings = settings or config.load()
        self._flows: dict[str, Definition] = {}
        self._turn = threading.Lock()
        self._opened: _Opened | None = None
        self._is_closed = False

    def __enter__(self) -> "TemporalWorkflowEngine":
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def register(self, flow: Mapping[str, Any] | str | Flow) -> str:
        """Have a flow, in the place of one of the same name; runs keep what they began with.

        Args:
            flow: a simple engine's dict (name, steps with `action`, `params`, `depends_on` and `retry`), a definition
                as YAML or JSON or its value, or a `pavo.flows.Flow`. A simple engine's falls back to the local engine
                by itself; a definition says so: `fallback: local`.

        Returns: its name.

        Raises:
            InvalidInput: it is wrong, or something of it cannot be carried over; all of that is told.
        """
        opened = self._open()
        definition = defined(flow, self._actions, opened.evaluator)
        unable = list(opened.hosted.steps.unable(definition))
        if unable:
            told = "; ".join(f"{name}: {why}" for name, why in unable)
            remedy = "Take steps that this program can do, or run it on workers of Pavo."
            raise InvalidInput(f"This engine cannot run it: {told[:2_000]}.", field="flow", remedy=remedy)
        self._flows[definition.flow.flow] = definition
        return definition.flow.flow

    def start(self, name: str, inputs: Mapping[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Begin a run; when this returns, it is written down, and will be executed whatever happens.

        Args:
            run_id: a UUID; done twice with the same, it is one run.

        Returns: the run's id.

        Raises:
            NotFound: no flow is registered under this name.
            InvalidInput: the inputs are not as the flow declares.
            Conflict: the id is another run's.
            Unavailable: PostgreSQL is away: nothing has begun.
        """
        definition = self._flows.get(name)
        if definition is None:
            remedy = did_you_mean(name, self._flows, "Register it first.")
            raise NotFound(f"No flow {name[:100]!r} is registered.", field="name", remedy=remedy)
        wanted = None if run_id is None else _id_of(run_id)
        return self._call(lambda hosted: _begin(hosted, definition, inputs or {}, wanted))

    def status(self, run_id: str) -> RunStatus:
        """Where a run is.

        Raises:
            NotFound: this organisation has no such run.
            Unavailable: PostgreSQL is away.
        """
        wanted = _id_of(run_id)
        return _status(self._call(lambda hosted: hosted.service.history(hosted.organisation, wanted)))

    def cancel(self, run_id: str, *, compensate: bool = False) -> None:
        """Have a run end; one that is over stays as it is.

        Args:
            compensate: undo what has succeeded, where steps say how.

        Raises:
            NotFound, Unavailable: as `status`.
        """
        wanted = _id_of(run_id)
        self._call(lambda hosted: _cancel(hosted, wanted, compensate=compensate))

    def list(self, limit: int = 100) -> "Sequence[RunStatus]":
        """The program's runs, the newest first, without results and asks: `status` has those.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        most = max(1, min(limit, MOST_RUNS))
        return [_short(each) for each in self._call(lambda hosted: hosted.service.runs(hosted.organisation, most))]

    def answer(
        self, run_id: str, step: str, said: Answer, output: Any = None, *, item: int | None = None, undoes: bool = False
    ) -> None:
        """Say what became of a step that `asks` names.

        Args:
            said: succeeded, failed, or again: then it is done once more.
            output: what it gave.
            item: of a step with `for_each`, from 0.
            undoes: what is asked about is what undoes the step.

        Raises:
            NotFound, Unavailable: as `status`.
            Conflict: nobody asks.
            InvalidInput: the output is not what the step may give.
        """
        wanted, key = _id_of(run_id), ResultKey(step, item, undoes)
        self._call(lambda hosted: hosted.service.answer(hosted.organisation, wanted, key, said, output, None))

    def result(self, run_id: str, seconds: float | None = None) -> RunStatus:
        """Wait until a run is over.

        Args:
            seconds: for so long at most; None: for as long as it takes, or until the engine is closed.

        Raises:
            TimeoutError: it is not over by then.
            NotFound: as `status`.
            Conflict: the engine was closed.
        """
        waiting = self._waiting(run_id)
        try:
            return _status(waiting.result(seconds))
        except CancelledError as error:
            raise _closed() from error
        finally:
            waiting.cancel()

    async def wait(self, run_id: str) -> RunStatus:
        """The same on an event loop; cancelled when the engine is closed.

        Raises:
            NotFound: as `status`.
        """
        return _status(await asyncio.wrap_future(self._waiting(run_id)))

    def close(self) -> None:
        """Begin nothing more, give what is in flight a moment, and end. Runs go on with the next process."""
        with self._turn:
            self._is_closed, opened, self._opened = True, self._opened, None
        if opened is not None:
            opened.close()
            atexit.unregister(self.close)

    def _open(self) -> "_Opened":
        with self._turn:
            if self._is_closed:
                raise _closed()
            if self._opened is None:
                self._opened = _Opened(self._settings, self._program)
                atexit.register(self.close)  # Temporal's client may not be left open when the interpreter ends
            return self._opened

    def _waiting(self, run_id: str) -> "Future[History]":
        wanted, opened = _id_of(run_id), self._open()
        waiting = opened.loop.begin(_over(opened.hosted, wanted))
        opened.waits.add(waiting)
        waiting.add_done_callback(opened.waits.discard)
        return waiting

    def _call(self, method: "Callable[[Hosted], Coroutine[Any, Any, T]]") -> T:
        opened = self._open()
        calling = opened.loop.begin(method(opened.hosted))
        try:
            return calling.result(CALL_SECONDS)
        except TimeoutError as error:
            calling.cancel()
            raise Unavailable(f"No answer within {CALL_SECONDS:g} s.", dependency="postgresql") from error


class _Opened:
    """Its threads and processes."""

    def __init__(self, settings: Settings, program: Program) -> None:
        self.evaluator = Evaluator()
        self.loop = LoopInThread(f"flows of {program.name}", daemon=True)
        self.loop.start()
        self.waits = set[Future[History]]()
        self._stack = AsyncExitStack()
        try:
            self.hosted = self.loop.run(self._stack.enter_async_context(hosting(settings, program, self.evaluator)))
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        for each in list(self.waits):
            each.cancel()
        try:
            self.loop.begin(self._stack.aclose()).result(CLOSE_SECONDS)
        finally:
            self._end()

    def _end(self) -> None:
        self.loop.close()
        self.evaluator.close()


def _closed() -> Conflict:
    return Conflict("The engine is closed.", field="engine", remedy="Make another one.")


async def _begin(hosted: Hosted, definition: Definition, inputs: Mapping[str, Any], wanted: uuid.UUID | None) -> str:
    engine = hosted.engine if definition.value.get("fallback") == LOCAL else TEMPORAL
    falls = engine == LOCAL
    begun = hosted.service.begin(hosted.organisation, definition, inputs, engine, run_id=wanted, fallback=falls)
    return str(await begun)


async def _cancel(hosted: Hosted, run_id: uuid.UUID, *, compensate: bool) -> None:
    try:
        await hosted.service.cancel(hosted.organisation, run_id, compensate=compensate, by=None)
    except Conflict:
        return


async def _over(hosted: Hosted, run_id: uuid.UUID) -> History:
    """PostgreSQL may be away meanwhile."""
    while True:
        try:
            states = await hosted.service.states([run_id])
            if states.get(run_id) in (*OVER, None):
                return await hosted.service.history(hosted.organisation, run_id)
        except Unavailable:
            pass
        await asyncio.sleep(LOOK_SECONDS)


def _id_of(run_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(run_id)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput(
            f"{str(run_id)[:100]!r} is no id of a run.", field="run_id", remedy="Give a UUID."
        ) from error


def _short(run: RunRecord) -> RunStatus:
    state: Any = run.state if run.is_over else "running"
    engine: Any = run.engine
    return RunStatus(
        id=str(run.id),
        flow=run.flow,
        state=state,
        engine=engine,
        results={},
        asks=[],
        output=run.result,
        error=run.error,
    )


def _status(history: History) -> RunStatus:
    progress = progress_of(history)
    succeeded = [each for each in progress.known.steps if progress.status(each) is Status.SUCCEEDED]
    results = {each: progress.known.steps[each]["output"] for each in succeeded}
    asks = [key.step for key, each in history.results.items() if each.is_asked]
    return {**_short(history.run), "results": results, "asks": list(dict.fromkeys(asks))}
