"""`pavo flow convert`: a flow of what another engine takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.exit_codes import DONE, WRONG_USAGE
from pavo.cli.flow.commands import File, read_file
from pavo.cli.output import Output, Printer, console, say
from pavo.errors import InvalidInput
from pavo.flows.convert.converting import Converted, Form, convert
from pavo.flows.convert.simple import flow_name
from pavo.flows.definition.problems import Problem, WrongDefinition, written
from pavo.flows.expressions.evaluating import Evaluator

FORMS = (
    "What the file is: simple (steps with action, params, depends_on), dsl (sequences of activities), actions (jobs)."
)


def convert_file(
    file: File,
    /,
    *,
    from_: Annotated[Form, Parameter(name="--from", help=FORMS)],
    name: Annotated[str | None, Parameter(help="The flow's. Default: like that in the file, or the file's.")] = None,
    to: Annotated[
        Path | None, Parameter(name=["--output-file", "-O"], help="The file to write. Default: standard output.")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace a file that is there.")] = False,
    output: Output = "text",
) -> int:
    """Make a flow of what another engine takes, and say what could not be carried over: each with its place and what
    to do. What comes out is right as `pavo flow validate` has it; look it through before it is run. The exit code is 2
    where the file is not what it is said to be: nothing is written then, and all that is wrong is told.
    """
    data, evaluator = read_file(file), Evaluator()
    try:
        found = convert(data, from_, evaluator.wrong, name, otherwise=flow_name(file.stem, "converted"))
    except WrongDefinition as wrong:
        problems = wrong.problems
        document = {"flow": None, "problems": [_problem(each) for each in problems]}
        Printer(output).show(document, lambda: _tell_problems(file, problems))
        return WRONG_USAGE
    finally:
        evaluator.close()
    if to is not None:
        _write(to, found.flow, overwrite=overwrite)
    document = {
        "flow": found.flow,
        "hash": found.hash,
        "file": None if to is None else str(to),
        "left": [_problem(each) for each in found.left],
        "functions": dict(found.functions),
    }
    Printer(output).show(document, lambda: _tell(file, found, to))
    return DONE


def _problem(each: Problem) -> dict[str, str | int]:
    place = {"path": written(each.path), "line": each.place.line, "column": each.place.column}
    return {**place, "message": each.message, "remedy": each.remedy}


def _tell(file: Path, found: Converted, to: Path | None) -> None:
    if to is None:
        say(found.flow.rstrip("\n"))
    else:
        say(f"Wrote {to}. Next: pavo flow show {to}")
    _tell_problems(file, found.left)
    if found.functions:
        names = ", ".join(sorted(found.functions))
        say(f"Entry points that it needs in pavo.flow_steps: {names}.", to=console(stderr=True))


def _tell_problems(file: Path, problems: Sequence[Problem]) -> None:
    errors = console(stderr=True)
    for each in problems:
        say(f"{file}:{each.place.line}:{each.place.column}: {written(each.path)}: {each.message}", to=errors)
        say(f"    {each.remedy}", to=errors)


def _write(to: Path, text: str, *, overwrite: bool) -> None:
    try:
        with to.open("w" if overwrite else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        remedy = "Name another file, or say --overwrite."
        raise InvalidInput(f"There is already {to}.", field="-O", remedy=remedy) from error
    except OSError as error:
        remedy = "Name a file in a folder that is there and can be written to."
        raise InvalidInput(f"{to}: {error.strerror or error}.", field="-O", remedy=remedy) from error
