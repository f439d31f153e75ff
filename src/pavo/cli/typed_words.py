"""Errors in the words that were typed: what is wrong with them, and which of them an error of the API is about."""

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from cyclopts import App, CycloptsError, UnknownCommandError
from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError

from pavo.errors import InvalidInput, PavoError

TYPED_AS: Final = {
    "agent_type": "agent",
    "agent_options": "option",
    "body": "text",
    "delivery_id": "delivery",
    "document_id": "document",
    "events": "event",
    "organisation": "org",
    "organisation_id": "org",
    "token_id": "token",
    "user_id": "email",
}
"""Members of the API under the name that the command line gives them."""

NOT_TYPED: Final = ("stage", "task_id")
"""Members of the API's errors that are no words of the command line, where no argument is called so."""

REMEDIES: Final = {
    "Create a new task.": "Create a new one: pavo run",
    "Look at the list of your tasks.": "See them with: pavo task list",
    "Resume it.": "Resume it: pavo task resume ID",
    "Start it.": "Start it: pavo task resume ID",
}
"""What the API says to do, as it is typed."""

MEANT: Final[Mapping[tuple[str, ...], str]] = {
    ("task", "start"): "`pavo run` creates a task and starts it; `pavo task resume ID` starts one that is there."
}
"""By group: words that people try, and which commands do that."""

MAX_NAMED: Final = 3
"""Commands of one name that are told of a word that is none where it was typed."""

_KINDS: Final = {"timedelta": ("a length of time", "Write it like 30d, 12h or 10m."), "UUID": ("an id", None)}
"""Of a Python type: what people call it, and how it is written."""


def usage_error(error: CycloptsError, typed: Sequence[str], app: App) -> PavoError:
    """What is wrong with a command line, and where its help is."""
    error.verbose = False
    said = " ".join(str(error).split()).replace(", ...", ", …")
    names = error.command_chain or _command_of(typed, app)
    remedy = f"See: {shlex.join(['pavo', *names, '--help'])}"
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        said = f"There is nothing that “{words}” could mean here."
        below = _commands_below(names, app)
        known = f"`{shlex.join(['pavo', *names])}` has the commands {', '.join(below)}."
        remedy = f"{known if below else 'Put quotes around what belongs together.'} {remedy}"
    elif isinstance(error, UnknownCommandError):
        said = said.partition(" Available commands:")[0]
        meant = MEANT.get((*names, *(error.unused_tokens or ())[:1]))
        if meant is not None:
            remedy = f"{meant} {remedy}"
        elif error.unused_tokens and (found := _commands_called(error.unused_tokens[0], app)):
            remedy = f"There is {' and '.join(f'`{shlex.join(each)}`' for each in found[:MAX_NAMED])}. {remedy}"
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        given, positional = error.keyword or error.argument.tokens, error.argument.field_info.is_positional
        name = error.argument.name.lstrip("-").upper() if positional and not given else error.argument.name
        said = f"{name} needs a value." if given else f"{name} is missing."
    for kind, (name, how) in _KINDS.items():
        if said.endswith(f"into {kind}."):
            said = re.sub(r"unable to convert (.*) into \w+\.$", rf"\1 is not {name}.", said)
            remedy = how or remedy
    field = error.argument.name if error.argument is not None else "command line"
    return InvalidInput(said, field=field, remedy=remedy)


def as_typed(error: PavoError, typed: Sequence[str], app: App) -> tuple[str | None, str | None]:
    """Field and remedy of an error by the names of the command line, where what the API names was typed there."""
    field, remedy = error.field, error.remedy
    if isinstance(remedy, str):
        remedy = REMEDIES.get(remedy, remedy)
    if not isinstance(field, str) or not field:
        return field, remedy
    member, _, rest = field.partition(".")
    wanted = TYPED_AS.get(member, member).replace("_", "-")
    with suppress(CycloptsError):
        command = app.parse_commands(list(typed))[1][-1]
        for argument in command.assemble_argument_collection() if command.default_command else ():
            name = next((name for name in argument.names if name.lstrip("-").lower() == wanted), None)
            if name is not None:
                shown = f"{name} {rest}".strip()
                by_field = isinstance(remedy, str) and re.fullmatch(rf"Correct {re.escape(field)} in the \w+\.", remedy)
                return shown, f"Correct {shown}." if by_field else remedy
    return None if field in NOT_TYPED else field, remedy


def _commands_called(word: str, app: App, before: Sequence[str] = ("pavo",)) -> list[Sequence[str]]:
    """Every command of this name, as it is typed: the nearest to the top first."""
    found: list[Sequence[str]] = []
    deeper: list[Sequence[str]] = []
    for name in app:
        if name.startswith("-"):
            continue
        if name == word:
            found.append([*before, name])
        with suppress(ImportError):  # of an extra that is not installed here
            deeper += _commands_called(word, app[name], [*before, name])
    return found + deeper


def _commands_below(names: Sequence[str], app: App) -> list[str]:
    """The commands of a group that does something by itself as well."""
    with suppress(CycloptsError, KeyError, ImportError):
        for name in names:
            app = app[name]
        return sorted(name for name in app if not name.startswith("-"))
    return []


def _command_of(typed: Sequence[str], app: App) -> Sequence[str]:
    with suppress(CycloptsError):
        return app.parse_commands(list(typed))[0]
    return ()
