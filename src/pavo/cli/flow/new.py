"""`pavo flow templates` and `pavo flow new`: which flows there are to begin from, and writing one out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pavo.cli.output import Output, Printer, say
from pavo.cli.table import table
from pavo.cli.task.run_options import options_of
from pavo.errors import InvalidInput
from pavo.flows.checking.checked import CheckedFlow, KnownNames, check
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.templates.catalogue import Template, filled, template_named, templates
from pavo.flows.templates.schemas import template_out

CASES = ".cases.yaml"
"""What follows on a flow's name in the name of its cases."""


def list_templates(*, output: Output = "text") -> None:
    """List the templates that come with Pavo, and their parameters."""
    found = templates().values()
    Printer(output).show({"items": [template_out(each) for each in found]}, lambda: _tell([*found]))


def _tell(found: list[Template]) -> None:
    rows = [(each.name, ", ".join(map(_parameter, each.parameters.items())), each.description) for each in found]
    table(("NAME", "PARAMETERS", "DESCRIPTION"), rows)


def _parameter(item: tuple[str, Any]) -> str:
    name, schema = item
    return f"{name}={schema['default']}" if "default" in schema else name


def new(
    name: str,
    /,
    *,
    template: Annotated[str, Parameter(help="Of which template; see: pavo flow templates")],
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative=(), help="NAME=VALUE, a parameter; may be repeated.")
    ] = None,
    folder: Annotated[Path, Parameter(help="Where the files go.")] = Path(),
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace files that are there.")] = False,
    output: Output = "text",
) -> None:
    """Write out a flow and its cases, NAME.yaml and NAME.cases.yaml, of a template. They are yours to change.

    Args:
        name: the flow's.
    """
    found = template_named(template)
    made = filled(found, name, _given(found, set_ or []))
    checked = _checked(made.flow)
    if not checked.ok:
        first = checked.problems[0]
        told = f"With these parameters the flow is wrong: {first.path}: {first.message}."
        raise InvalidInput(told, field="--set", remedy=first.remedy)
    files = {folder / f"{name}.yaml": made.flow, folder / f"{name}{CASES}": made.cases}
    _write(files, overwrite=overwrite)
    written = [str(each) for each in files]
    document = {"files": written, "template": template, "hash": checked.hash}
    Printer(output).show(document, lambda: say(f"Wrote {' and '.join(written)}. Next: {_next(folder, name)}"))


def _given(template: Template, pairs: Sequence[str]) -> dict[str, Any]:
    """Parameters as they are typed; what is like a number is a text where that is wanted."""
    try:
        given = options_of(pairs)
    except InvalidInput as error:
        raise InvalidInput(error.detail, field="--set", remedy="Write it as NAME=VALUE.") from error
    wanted = {name for name, schema in template.parameters.items() if schema.get("type") == "string"}
    return {
        name: str(value) if name in wanted and isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in given.items()
    }


def _checked(flow: str) -> CheckedFlow:
    evaluator = Evaluator()
    try:
        return check(flow, evaluator.wrong, KnownNames())
    finally:
        evaluator.close()


def _next(folder: Path, name: str) -> str:
    return f"pavo flow test {folder / f'{name}.yaml'}"


def _write(files: dict[Path, str], *, overwrite: bool) -> None:
    there = [] if overwrite else [str(each) for each in files if each.exists() or each.is_symlink()]
    if there:
        remedy = "Choose another name or --folder, or say --overwrite."
        raise InvalidInput(f"There is already {' and '.join(there)}.", field="NAME", remedy=remedy)
    for file, text in files.items():
        try:
            with file.open("w" if overwrite else "x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            remedy = "Name a --folder that is there and can be written to."
            raise InvalidInput(f"{file}: {error.strerror or error}.", field="--folder", remedy=remedy) from error
