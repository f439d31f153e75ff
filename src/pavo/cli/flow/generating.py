"""`pavo flow new "SENTENCE"`: a flow that a model writes, or changes, shown before anything becomes of it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pavo.cli.exit_codes import DONE, FAILED
from pavo.cli.flow.client import FlowClient
from pavo.cli.flow.files import read_file
from pavo.cli.flow.new import CASES, is_there, write_files
from pavo.cli.output import Printer, console, say, waiting
from pavo.cli.table import table
from pavo.errors import InvalidInput
from pavo.flows.generated.reach import CalledByFlow
from pavo.flows.generated.schemas import MAX_EDITED, MAX_REQUEST, FlowGenerate, GeneratedFlow

MOST_NAMES: Final = 1_000
"""Files of one flow's name in a folder."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the files go, and which API is asked."""

    folder: Path
    overwrite: bool
    org: uuid.UUID | None
    url: str | None


def write_of(request: str, edit: str | None, model: str | None, where: Where, printer: Printer) -> int:
    """Have it written, write it out, and show it; the exit code."""
    _check(request, where.folder)
    text, name = (None, None) if edit is None else _edited(edit)
    wanted = FlowGenerate(request=request, text=text, name=name, model=model)
    with FlowClient.from_environment(where.url, where.org) as client, waiting(printer.people, "A model is asked"):
        found = client.generate(wanted)
    files = _written(found, where)
    document = {**found.model_dump(mode="json"), "files": files}
    printer.show(document, lambda: _tell(found, files))
    return DONE if found.outcome == "proposed" else FAILED


def _check(request: str, folder: Path) -> None:
    """Before anything is paid for."""
    if not request.strip() or " " not in request.strip():
        remedy = (
            'Say what it is to do, as in: pavo flow new "every order over 100 is asked about"; or name a --template.'
        )
        raise InvalidInput(f"{request!r:.100} says too little.", field="NAME", remedy=remedy)
    if len(request) > MAX_REQUEST:
        raise InvalidInput(
            f"It has more than {MAX_REQUEST:,} characters.", field="NAME", remedy="Say it in fewer words."
        )
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder.", field="--folder", remedy="Name one that is there.")


def _edited(edit: str) -> tuple[str | None, str | None]:
    """The text of a file, or a published flow's name."""
    file = Path(edit)
    if edit != "-" and not is_there(file) and file.name == edit and not file.suffix:
        return None, edit
    try:
        text = read_file(file, MAX_EDITED * 4).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not in UTF-8.", field="--edit", remedy="Save it in UTF-8.") from error
    if len(text) > MAX_EDITED:
        told = f"{file} has more than {MAX_EDITED:,} characters."
        raise InvalidInput(told, field="--edit", remedy="Change it by hand, or move steps into child flows.")
    return text, None


def _written(found: GeneratedFlow, where: Where) -> Sequence[str]:
    """What was paid for is never lost to a file that is there: it gets a name of its own then."""
    if found.outcome != "proposed" or found.flow is None or found.text is None:
        return []
    for number in range(1, MOST_NAMES):
        stem = found.flow if number == 1 else f"{found.flow}-{number}"
        files = {where.folder / f"{stem}.yaml": found.text}
        if found.cases is not None:
            files[where.folder / f"{stem}{CASES}"] = found.cases
        if where.overwrite or not any(is_there(each) for each in (*files, where.folder / f"{stem}{CASES}")):
            return write_files(files, where.overwrite)
    raise InvalidInput(f"{where.folder} is full of flows of this name.", field="--folder", remedy="Name another one.")


def _tell(found: GeneratedFlow, files: Sequence[str]) -> None:
    if found.outcome == "refused":
        say("The model refuses:")
        say(found.words)
    elif found.outcome == "failed":
        _tell_failed(found)
    else:
        _tell_proposed(found, files)
    _tell_spent(found)


def _tell_failed(found: GeneratedFlow) -> None:
    errors = console(stderr=True)
    say(f"What the model wrote is wrong, and stayed so in {found.rounds} answers:", to=errors)
    for each in found.problems:
        say(f"{each.line}:{each.column}: {each.path}: {each.message}", to=errors)
        say(f"    {each.remedy}", to=errors)
    say((found.text or "").rstrip("\n"))


def _tell_proposed(found: GeneratedFlow, files: Sequence[str]) -> None:
    say((found.text or "").rstrip("\n"))
    _tell_difference(found)
    say("")
    rows = [_row(each) for each in found.calls]
    table(("STEP", "CALLS", "EFFECT", "AT MOST", "SECRETS"), rows, nothing="It calls nothing.")
    say("")
    _tell_cost(found)
    _tell_trials(found)
    for each in found.unchecked:
        say(f"Not looked up: {each.names.replace('_', ' ')}. {each.reason}")
    for line in found.unasked:
        say(f"Look twice: {line}")
    if files:
        say(f"Wrote {' and '.join(files)}. Nothing runs. To accept it:")
        say(f"pavo flow publish {files[0]} --accept {found.hash}")


def _tell_difference(found: GeneratedFlow) -> None:
    if (diff := found.difference) is None:
        return
    say("")
    say("What it changes:" if diff.text or diff.moved else "It changes nothing.")
    if diff.text:
        say(diff.text.rstrip("\n"))


def _row(each: CalledByFlow) -> tuple[str, str, str, str, str]:
    kind = "" if each.kind == "http" else f"{each.kind} "
    undoes = " (undoes)" if each.undoes else ""
    effect = each.effect or ("not known" if each.kind == "tool" else "")
    return each.step, f"{kind}{each.what}{undoes}", effect, f"{each.most:,}", ", ".join(each.secrets)


def _tell_cost(found: GeneratedFlow) -> None:
    if (cost := found.cost) is None:
        return
    if cost.most is not None:
        say(f"A run costs {cost.most} in calls of models: no step asks one.")
        return
    say("What a run costs in calls of models is not known:")
    for reason in cost.unknown:
        say(f"    {reason}")
    if cost.tasks or cost.jobs:
        say(f"    It begins at most {cost.tasks:,} tasks and {cost.jobs:,} jobs.")


def _tell_trials(found: GeneratedFlow) -> None:
    for case in found.tried:
        expected = "not as expected" if case.wrong else "as expected"
        say(f"Tried {case.name}: {case.outcome}" if case.made_up else f"{expected:<16}{case.name}")
        for each in case.wrong:
            say(f"    {each}")
    for each in found.problems:
        say(f"Its cases cannot be run: {each.path}: {each.message}")


def _tell_spent(found: GeneratedFlow) -> None:
    spent = found.spent
    cost = "" if spent.cost is None else f", {spent.cost}"
    calls = "1 call" if spent.calls == 1 else f"{spent.calls} calls"
    say(f"Writing it took {calls} of a model: {spent.tokens_in:,} tokens in, {spent.tokens_out:,} out{cost}.")
