"""`pavo flow`: check a flow's file, see what it would do, and test it with fakes. Nothing of this needs a stack."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.api_client import ApiClient
from pavo.cli.exit_codes import DONE, FAILED, WRONG_USAGE
from pavo.cli.flow import doctor, moving, published, watching
from pavo.cli.flow.files import File, read_file
from pavo.cli.flow.new import CASES, list_templates, new
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, print_json, say
from pavo.cli.table import table
from pavo.flows.cases import Judged, cases_of, judge
from pavo.flows.checking.checked import NAMES, CheckedFlow, FlowText, KnownNames, check
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.form import json_schema
from pavo.flows.definition.graph import needs_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.expressions.evaluating import Evaluator

flow_app = App(name="flow", help="Check, test, publish and run flows.", help_epilogue=epilogue("flow"))

flow_app.command(list_templates, name="templates")
flow_app.command(new)


@flow_app.command(name="validate")
def validate(
    file: File,
    /,
    *,
    url: Annotated[
        str | None, Parameter(name="--url", help="Address of an API that is asked; default: PAVO_URL, else none.")
    ] = None,
    offline: Annotated[bool, Parameter(negative=(), help="Ask no API, though PAVO_URL is set.")] = False,
    output: Output = "text",
) -> int:
    """Check a flow: its form, its graph, its expressions, and what these refer to. All that is wrong is told at once,
    each with line, column and remedy; the exit code is 2 then.

    An API, named by --url or PAVO_URL, also knows which tools, agents and repositories there are. Without one it is
    said what could not be looked up.
    """
    data = read_file(file)
    asked = None if offline else url or os.environ.get("PAVO_URL")
    found = _checked_by_api(data, asked) if asked else _checked_here(data)
    Printer(output).show(found, lambda: _tell_checked(file, found))
    return DONE if found.ok else WRONG_USAGE


def _checked_here(data: bytes) -> CheckedFlow:
    reasons = dict.fromkeys(NAMES, "No API was asked: --url URL, or PAVO_URL, names one.")
    with _evaluator() as evaluator:
        return check(data, evaluator.wrong, KnownNames(reasons=reasons))


def _checked_by_api(data: bytes, url: str) -> CheckedFlow:
    try:
        given = FlowText(text=data.decode())
    except UnicodeDecodeError:  # no request can say it; whoever checks says so
        return _checked_here(data)
    with ApiClient.from_environment(url) as api:
        return api.ask(CheckedFlow, "POST", "/api/flows/validate", json=given.model_dump())


def _tell_checked(file: Path, found: CheckedFlow) -> None:
    errors = console(stderr=True)
    for each in found.problems:
        say(f"{file}:{each.line}:{each.column}: {each.path}: {each.message}", to=errors)
        say(f"    {each.remedy}", to=errors)
    if not found.ok:
        return
    say(f"{file}: {found.flow} is right: {found.steps} steps, hash {(found.hash or '')[:12]}")
    if found.only_on_temporal:
        say(f"Steps that need Temporal: {', '.join(found.only_on_temporal)}.")
    for reason, names in _by_reason(found).items():
        say(f"Not looked up: {', '.join(names)}. {reason}")


def _by_reason(found: CheckedFlow) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for each in found.unchecked:
        told.setdefault(each.reason, []).append(each.names.replace("_", " "))
    return told


@flow_app.command(name="show")
def show(file: File, /, *, output: Output = "text") -> None:
    """Show a flow's steps, each behind what it needs."""
    with _evaluator() as evaluator:
        found = definition_of(read_file(file), evaluator.wrong)
    steps = found.flow.steps
    document = {
        "flow": found.flow.flow,
        "hash": found.hash,
        "steps": [_shown(name, steps[name]) for name in found.graph.order],
    }
    Printer(output).show(document, lambda: _table(found))


def _table(found: Definition) -> None:
    rows = [
        (name, _does(step), ", ".join(needs_of(step)), _when(step))
        for name in found.graph.order
        for step in (found.flow.steps[name],)
    ]
    if found.flow.description:
        console().print(Text(found.flow.description, "dim"))
    table(("STEP", "DOES", "NEEDS", "WHEN"), rows)


def _shown(name: str, step: WrittenStep) -> dict[str, Any]:
    return {"id": name, "kind": step.kind, "does": _does(step), "needs": list(needs_of(step)), "join": step.join}


def _does(step: WrittenStep) -> str:
    """What people call it."""
    value = getattr(step, step.kind)
    match step.kind:
        case "branch":
            told = (
                f"branch to {', '.join(each for case in step.branch or () for each in _targets(case.go)) or 'nothing'}"
            )
        case "gate":
            told = f"ask {value.ask}"
        case "http":
            told = f"{value.method} {value.url}"
        case "wait_for":
            told = f"wait for {value.signal or value.webhook}"
        case kind:
            told = f"{kind} {value}"
    return f"{told}, for each of up to {step.for_each.max:,}" if step.for_each is not None else told


def _targets(go: str | tuple[str, ...]) -> tuple[str, ...]:
    return (go,) if isinstance(go, str) else go


def _when(step: WrittenStep) -> str:
    joins = "" if step.join == "all_success" else step.join
    return " ".join(each for each in (joins, str(step.condition) if step.condition is not None else "") if each)


@flow_app.command(name="test")
def test(file: File, cases: Path | None = None, /, *, output: Output = "text") -> int:
    """Run a flow's cases, with fakes in the place of what its steps would do: nothing outside is called. The exit code
    is 1 where one is not as expected.

    Args:
        cases: their file. Default: that of the flow's name, such as refund.cases.yaml for refund.yaml.
    """
    with _evaluator() as evaluator:
        definition = definition_of(read_file(file), evaluator.wrong)
        wanted = cases_of(read_file(cases or file.with_name(f"{file.stem}{CASES}")), definition)
        judged = [judge(definition, each, evaluator) for each in wanted.cases]
    failed = [each for each in judged if each.wrong]
    document = {
        "ok": not failed,
        "cases": [{"name": each.name, "ok": not each.wrong, "wrong": list(each.wrong)} for each in judged],
    }
    Printer(output).show(document, lambda: _tell_cases(judged))
    return FAILED if failed else DONE


def _tell_cases(judged: list[Judged]) -> None:
    for each in judged:
        say(f"{'not as expected' if each.wrong else 'as expected':<16}{each.name}")
        for wrong in each.wrong:
            say(f"    {wrong}")
    failed = sum(bool(each.wrong) for each in judged)
    say(f"{len(judged) - failed} of {len(judged)} as expected")


@flow_app.command(name="schema")
def schema(*, output: Output = "text") -> None:
    """Print the JSON Schema of flows' files, for editors and programs; in either form it is JSON."""
    Printer(output).show(json_schema(), lambda: print_json(json_schema()))


@contextmanager
def _evaluator() -> Generator[Evaluator]:
    evaluator = Evaluator()
    try:
        yield evaluator
    finally:
        evaluator.close()


flow_app.command("pavo.cli.flow.convert:convert_file", name="convert")
for _command in (published.publish, published.versions, published.diff, published.rollback, published.deprecate):
    flow_app.command(_command)
flow_app.command(published.list_flows, name="list")
flow_app.command(moving.export)
flow_app.command(moving.import_flows, name="import")
flow_app.command(watching.watch)
flow_app.command(doctor.doctor)
give_examples(flow_app, "flow")
_LATER = {
    "run": ("runs:run", "Run a flow until it is over, and show what became of its steps."),
    "runs": ("runs:list_runs", "List runs, the newest first."),
    "status": ("runs:status", "Show what became of a run's steps."),
    "cancel": ("people:cancel", "Have a run end."),
    "pause": ("people:pause", "Have nothing of a run begin, until it is resumed."),
    "resume": ("people:resume", "Have a run that was paused go on."),
    "retry": ("corrections:retry", "Have a run that has failed go on from a step."),
    "skip": ("corrections:skip", "Have a run that has failed go on without a step."),
    "set": ("corrections:set_output", "Have a run that has failed go on with an output of a step that you give."),
    "answer": ("people:answer", "Say what became of a step of which nobody knows whether it happened."),
}
"""Loaded when they are typed: they need more than the extra `flows`."""
for _name, (_place, _help) in _LATER.items():
    _path = f"pavo.cli.flow.{_place}"
    flow_app.command(_path, name=_name, help=_help, help_epilogue=epilogue(f"flow {_name}"))
