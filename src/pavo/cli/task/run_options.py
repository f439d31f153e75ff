"""What `pavo run` is given: the prompt, the agent's options, policies and budgets, the limit of a step."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, get_args

from cyclopts import Parameter

from pavo.errors import InvalidInput
from pavo.tools.policies.schemas import DecisionName, TaskPolicyIn
from pavo.usage.schemas import TaskBudgetIn

StepSeconds: TypeAlias = Annotated[
    float | None,
    Parameter(help="Seconds that the work on a checkpoint may take before it is cut and counts as failed."),
]

AgentOptions: TypeAlias = Annotated[
    Sequence[str],
    Parameter(
        help="The agent's option as K=V, V in JSON or as text; may be repeated.", negative="", show_default=False
    ),
]
Policies: TypeAlias = Annotated[
    Sequence[str],
    Parameter(
        help="A policy of this task's own, beside the organisation's: 'ask mail.*', 'deny * effect=unsafe', "
        "'allow mail.draft'; may be repeated.",
        negative="",
        show_default=False,
    ),
]
Budget: TypeAlias = Annotated[
    float | None, Parameter(help="At most so much money for its calls of models, in the currency of the price table.")
]
BudgetTokens: TypeAlias = Annotated[
    int | None, Parameter(help="At most so many tokens for its calls of models, input and output together.")
]

_OPTION: Final = re.compile(r"--?[A-Za-z][a-z-]*")


def options_of(pairs: Sequence[str]) -> dict[str, Any]:
    """An agent's options from "K=V": V is JSON if it can be read as JSON, else text.

    Raises:
        InvalidInput: a pair has no "=" or no name, or its value cannot be sent.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"{pair!r} is no option.", field="--option", remedy="Write it as NAME=VALUE.")
        found[name.strip()] = _option(name.strip(), value)
    return found


def policies_of(given: Sequence[str]) -> list[TaskPolicyIn]:
    """A task's own policies from "DECISION TOOL effect=EFFECT", the last two as they are needed.

    Raises:
        InvalidInput: it is not written so.
    """
    return [_policy(text) for text in given]


def _policy(text: str) -> TaskPolicyIn:
    decision, *more = text.split() or [""]
    effects = [word.partition("=")[2] for word in more if word.startswith("effect=")]
    tools = [word for word in more if not word.startswith("effect=")]
    if decision not in get_args(DecisionName) or len(tools) > 1 or len(effects) > 1:
        remedy = (
            "Write it as 'ask mail.*', 'deny run_command' or 'ask * effect=unsafe'; arguments go by POST /api/tasks."
        )
        raise InvalidInput(f"{text!r} is no policy.", field="--policy", remedy=remedy)
    # Not validated here: the API does it for all its users.
    found: dict[str, Any] = {"decision": decision, "tool": (tools or ["*"])[0], "effect": (effects or [None])[0]}
    return TaskPolicyIn.model_construct(**found)


def budgets_of(cost: float | None, tokens: int | None) -> list[TaskBudgetIn]:
    """A task's own budget, for good."""
    if cost is None and tokens is None:
        return []
    return [TaskBudgetIn.model_construct(period="life", cost=cost, tokens=tokens)]


def _option(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidInput(
            f"The option {name} holds a number that is none, or half a character (\\ud800 … \\udfff).",
            field="--option",
            remedy="Write its value in proper JSON or as text.",
        ) from error
    return value


def prompt_of(given: str | None) -> str:
    """The prompt: the text itself, that of a file if it is "@FILE", that of standard input if it is "-".

    Raises:
        InvalidInput: it cannot be read or is not UTF-8; it names a file without an @, or is an option, for which the
            prompt was forgotten.
    """
    if given is None:
        return ""
    if given == "-":
        return _read("standard input", sys.stdin.buffer.read)
    if given == "@":
        raise InvalidInput("@ names no file.", field="--prompt", remedy="Write --prompt @FILE.")
    if given.startswith("@"):
        return _read(given[1:], Path(given[1:]).read_bytes)
    if _OPTION.fullmatch(given):
        raise InvalidInput(f"{given} is no prompt.", field="--prompt", remedy="Write what the agent is to do.")
    if _is_file(given):  # sent as it is, the agent would get a name that says nothing to it
        raise InvalidInput(
            f"{given} is a file.", field="--prompt", remedy=f"For its text write: --prompt {shlex.quote(f'@{given}')}"
        )
    return given


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def _read(name: str, read: Callable[[], bytes]) -> str:
    remedy = "Name a file with text."
    try:
        return read().decode()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise InvalidInput(f"{name}: {reason}.", field="--prompt", remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8.", field="--prompt", remedy=remedy) from error
    except ValueError as error:  # a NUL in its name
        raise InvalidInput(f"{name} is no name of a file.", field="--prompt", remedy=remedy) from error
