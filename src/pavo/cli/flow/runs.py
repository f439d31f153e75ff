"""`pavo flow run`, `runs` and `status`: on the local engine, with PostgreSQL alone, or by the workers on Temporal."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import orjson
from cyclopts import Parameter

from pavo.cli.admin.operators import DataDir, OrganisationName, local_time
from pavo.cli.exit_codes import DONE, FAILED, NOT_AVAILABLE
from pavo.cli.flow.connected import Here, RunId, connected
from pavo.cli.flow.files import File, read_file
from pavo.cli.output import Output, Printer, say
from pavo.cli.table import table
from pavo.errors import InvalidInput
from pavo.flows.awaited.alone import run_alone
from pavo.flows.awaited.children import ChildRuns
from pavo.flows.awaited.steps import StepsWithWork
from pavo.flows.awaited.watching import WorkWatch
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.driving import unheard
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import LOCAL, History, RunRecord
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.local.wiring import BEGUN, local_steps
from pavo.flows.shown.tree import ShownStep, steps_of
from pavo.kit.clock import iso
from pavo.kit.json_values import encode_text
from pavo.tools.wiring import open_tools

_EXIT: Final = {"succeeded": DONE, "failed": FAILED, "cancelled": FAILED}
_LOOK_SECONDS: Final = 0.3
"""Between looks at a run that workers execute."""
_SHOWN: Final = 60
_ITEMS: Final = 20
"""Of a list, in the text."""

Engine = Annotated[
    Literal["local", "temporal"],
    Parameter(
        help="Who executes it. local: this command itself; its state is in PostgreSQL, and it may be killed. temporal: "
        "the workers; this command only looks on."
    ),
]
Inputs = Annotated[
    Sequence[str] | None,
    Parameter(name="--input", help="NAME=VALUE, as often as needed; a value that is JSON is taken as JSON."),
]


async def run(
    file: File,
    /,
    *,
    input: Inputs = None,
    engine: Engine = LOCAL,
    resume: uuid.UUID | None = None,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> int:
    """Run a flow until it is over, and show what became of its steps. The exit code is 0 when it succeeded, 1 when it
    failed or was cancelled, and 5 when it waits for people.

    Args:
        resume: a run of this flow that was interrupted: it goes on, with what it had, and the file is not looked at.
    """
    given, evaluator = _inputs(input or ()), Evaluator()
    try:
        async with connected(data_dir, org) as here, _engine(here, evaluator) as local:
            if resume is None:
                definition = definition_of(read_file(file), evaluator.wrong)
                _check_able(local.steps, definition, () if engine == LOCAL else definition.only_on_temporal)
                resume = await here.runs.begin(here.organisation, definition, given, engine)
            is_local = (await here.runs.history(here.organisation, resume)).run.engine == LOCAL
            say(f"Run {resume}", to=Printer(output).people)
            await (_run_alone(here, local.engine, resume, output) if is_local else _look_on(here, resume))
            return _show(await here.runs.history(here.organisation, resume), output)
    finally:
        evaluator.close()


async def _run_alone(here: Here, engine: LocalEngine, run: uuid.UUID, output: Output) -> None:
    def asked(gate: uuid.UUID) -> None:
        say(f"It waits for an answer: pavo inbox answer {gate}", to=Printer(output).people)

    watch = WorkWatch(here.database, {}, _nobody, unheard)
    await run_alone(here.database, engine, watch, run, asked)


async def _nobody(run_id: uuid.UUID, epoch: int, *, is_begun: bool) -> None:
    """Workers look after runs of Temporal's."""


async def _look_on(here: Here, run: uuid.UUID) -> None:
    """Until it is over, or nothing of it goes on before people have said something."""
    while True:
        history = await here.runs.history(here.organisation, run)
        left = [each for each in history.results.values() if each.ended_at is None]
        if history.run.is_over or (left and all(each.is_asked for each in left)):
            return
        await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Local:
    engine: LocalEngine
    steps: LocalSteps


@asynccontextmanager
async def _engine(here: Here, evaluator: Evaluator) -> AsyncGenerator[_Local]:
    tools = open_tools(here.settings.tools)
    try:
        steps = local_steps(here.database, here.settings, tools, begun=BEGUN)
        doing = StepsWithWork(here.database, steps, {}, ChildRuns(here.database))
        yield _Local(LocalEngine(here.database, doing, evaluator), steps)
    finally:
        tools.close()


def _check_able(steps: LocalSteps, definition: Definition, but: Sequence[str]) -> None:
    unable = list(steps.unable(definition, but))
    if unable:
        told = "; ".join(f"{name}: {why}" for name, why in unable)
        remedy = "Take other steps, or run it on Temporal."
        raise InvalidInput(f"The local engine cannot run it: {told[:2_000]}.", field="engine", remedy=remedy)


def _inputs(texts: Sequence[str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            remedy = "Write it like --input limit=100."
            raise InvalidInput(f"{text[:100]!r} has no value.", field="--input", remedy=remedy)
        try:
            found[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            found[name] = value
    return found


async def list_runs(
    *,
    limit: Annotated[int, Parameter(help="So many at most.")] = 20,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """List runs, the newest first."""
    async with connected(data_dir, org) as here:
        found = await here.runs.runs(here.organisation, max(1, min(limit, 1_000)))
    rows = [(str(each.id), each.flow, each.engine, each.state, local_time(each.created_at)) for each in found]
    document = {"runs": [_run_document(each) for each in found]}
    Printer(output).show(document, lambda: table(("RUN", "FLOW", "ENGINE", "STATE", "SINCE"), rows))


async def status(
    run: RunId, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> int:
    """Show what became of a run's steps. The exit code is that of `pavo flow run`."""
    async with connected(data_dir, org) as here:
        return _show(await here.runs.history(here.organisation, run), output)


def _show(history: History, output: Output) -> int:
    document = {**_run_document(history.run), "result": history.run.result, "steps": _steps(history)}
    Printer(output).show(document, lambda: _tell(history))
    return _EXIT.get(history.run.state, NOT_AVAILABLE)


def _run_document(run: RunRecord) -> dict[str, Any]:
    about: dict[str, Any] = {"id": str(run.id), "flow": run.flow, "hash": run.hash, "engine": run.engine}
    about |= {"epoch": run.epoch, "state": run.state, "error": run.error, "created_at": iso(run.created_at)}
    about |= {"paused_at": None if run.paused_at is None else iso(run.paused_at), "paused_reason": run.paused_reason}
    return {**about, "ended_at": None if run.ended_at is None else iso(run.ended_at)}


def _steps(history: History) -> list[dict[str, Any]]:
    return [_step(each) for each in steps_of(history)]


def _step(each: ShownStep) -> dict[str, Any]:
    about: dict[str, Any] = {"step": each.step, "item": each.item, "undoes": each.undoes, "state": each.state}
    return {**about, "attempt": each.attempt, "output": each.output, "error": each.error}


def _tell(history: History) -> None:
    steps = _steps(history)
    table(("STEP", "STATE", "TRIES", "WHAT CAME OF IT"), [_row(each) for each in steps if _is_told(each)])
    hidden = sum(not _is_told(each) for each in steps)
    if hidden:
        say(f"… and {hidden:,} more items that have succeeded.")
    run = history.run
    for key in (key for key, each in history.results.items() if each.is_asked and not run.is_over):
        say(f"What became of it? pavo flow answer {run.id} {key.step}{_options(key)} --said succeeded|failed|again")
    if run.is_paused:
        why = f": {run.paused_reason}" if run.paused_reason else ""
        say(f"It is paused{why}. Have it go on: pavo flow resume {run.id}")
    say(f"{run.flow}: {run.state}{f' ({run.error})' if run.error else ''}")
    if run.result is not None:
        say(encode_text(run.result))


def _is_told(step: Mapping[str, Any]) -> bool:
    item = step["item"]
    return item is None or item < _ITEMS or step["state"] != "succeeded"


def _row(step: Mapping[str, Any]) -> tuple[str, str, str, str]:
    item = step["item"]
    name = step["step"] if item is None else f"  {step['step']} [{item}]"
    told = _short(step["output"]) if step["state"] == "succeeded" else step["error"]
    return f"undo {name}" if step["undoes"] else name, step["state"], str(step["attempt"] or ""), told or ""


def _short(value: Any) -> str:
    text = "" if value is None else encode_text(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _options(key: ResultKey) -> str:
    return ("" if key.item is None else f" --item {key.item}") + (" --undo" if key.undoes else "")
