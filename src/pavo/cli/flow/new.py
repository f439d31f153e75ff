"""`pavo flow templates` and `pavo flow new`: which flows there are to begin from, and writing one out, of a template or
of what somebody says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pavo.cli.exit_codes import DONE
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import OrganisationId, Url
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
    name: Annotated[str, Parameter(name="NAME", help="The flow's name; or, without --template, what it is to do.")],
    /,
    *,
    template: Annotated[str | None, Parameter(help="Of which template; see: pavo flow templates")] = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative=(), help="NAME=VALUE, a parameter; may be repeated.")
    ] = None,
    edit: Annotated[
        str | None, Parameter(help="A flow that is changed as NAME says: its file, or the name of a published one.")
    ] = None,
    model: Annotated[
        str | None, Parameter(help="Which model writes it, also as endpoint:NAME/MODEL; default: the deployment's.")
    ] = None,
    folder: Annotated[Path, Parameter(help="Where the files go.")] = Path(),
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace files that are there.")] = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Write out a flow and its cases, NAME.yaml and NAME.cases.yaml. They are yours to change.

    With --template they are that template's. Without it a model writes them of a sentence, or changes a flow by
    --edit: an API, by --url or PAVO_URL, asks it, checks what it writes and tries it with fakes. What it would call and
    may cost is shown; nothing runs. The exit code is 1 where it refuses, or writes none that is right.
    """
    if template is None:
        from pavo.cli.flow import generating  # it needs more than templates do

        if set_:
            raise InvalidInput("--set is for templates.", field="--set", remedy="Name one: --template TEMPLATE.")
        return generating.write_of(name, edit, model, generating.Where(folder, overwrite, org, url), Printer(output))
    for option, value in (("--edit", edit), ("--model", model)):
        if value is not None:
            raise InvalidInput(f"A template takes no {option}.", field=option, remedy="Leave one of the two out.")
    _of_template(name, template, set_ or [], folder, overwrite=overwrite, printer=Printer(output))
    return DONE


def _of_template(
    name: str, template: str, pairs: Sequence[str], folder: Path, *, overwrite: bool, printer: Printer
) -> None:
    found = template_named(template)
    made = filled(found, name, _given(found, pairs))
    checked = _checked(made.flow)
    if not checked.ok:
        first = checked.problems[0]
        told = f"With these parameters the flow is wrong: {first.path}: {first.message}."
        raise InvalidInput(told, field="--set", remedy=first.remedy)
    written = write_files({folder / f"{name}.yaml": made.flow, folder / f"{name}{CASES}": made.cases}, overwrite)
    document = {"files": written, "template": template, "hash": checked.hash}
    printer.show(document, lambda: say(f"Wrote {' and '.join(written)}. Next: {_next(folder, name)}"))


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


def write_files(files: Mapping[Path, str], overwrite: bool) -> list[str]:
    """Write them; their names.

    Raises:
        InvalidInput: some are there, or the folder takes none.
    """
    there = [] if overwrite else [str(each) for each in files if is_there(each)]
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
    return [str(each) for each in files]


def is_there(file: Path) -> bool:
    """Whether something has this name."""
    return file.exists() or file.is_symlink()
