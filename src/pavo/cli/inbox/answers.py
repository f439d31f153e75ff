"""Answers as people type them, and questions as they read them."""

import json
from typing import Any, Final, cast

from rich.console import Console, Group, RenderableType
from rich.text import Text

from pavo.cli.task import render
from pavo.errors import InvalidInput
from pavo.gates.schemas import GateOut
from pavo.kit.clock import iso
from pavo.observe.printable import printable, printable_line

TEXT: Final = {"type": "string"}
TOLD: Final = {("approval", "deny"): "why", ("plan", "revise"): "what is to change"}
"""Answers by kind whose note the agent gets, and what it says."""


def typed(gate: GateOut, text: str) -> Any:
    """What somebody typed, as the answer that the gate asks for.

    A choice by its text or its number; a text as it is, also where it is one of several forms that are asked for;
    anything else as JSON.

    Raises:
        InvalidInput: it is none of them.
    """
    if gate.choices:
        if text in gate.choices:
            return text
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(gate.choices):
            return gate.choices[int(text) - 1]
        remedy = f"Give a number from 1 to {len(gate.choices)}, or the choice itself."
        raise InvalidInput(f"{text!r} is none of the choices.", field="ANSWER", remedy=remedy)
    if gate.answer_schema == TEXT:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if _takes(gate.answer_schema, text):
            return text
        remedy = f"What fits {json.dumps(gate.answer_schema)[:300]}, for example in quotes: '{{\"days\": 3}}'"
        raise InvalidInput(f"The answer is no JSON: {error}.", field="ANSWER", remedy=remedy) from error


def _takes(schema: Any, text: str) -> bool:
    """Whether a schema says plainly that this text is an answer; the API judges whatever is sent."""
    if not isinstance(schema, dict):
        return False
    described = cast("dict[str, Any]", schema)
    if "enum" in described:
        return text in described["enum"]
    forms = [*described.get("anyOf", []), *described.get("oneOf", [])]
    return described.get("type") == "string" or any(_takes(form, text) for form in forms)


def shown(gate: GateOut) -> RenderableType:
    """A question with all that people need to answer it, or how it was answered."""
    parts: list[RenderableType] = [Text(printable(gate.text), "bold")]
    for number, choice in enumerate(gate.choices, 1):
        parts.append(Text.assemble("  ", (f"{number}", "cyan"), f"  {printable_line(choice)}"))
    if not gate.choices and gate.answer_schema != TEXT:
        parts.append(Text(f"  JSON that fits {printable_line(json.dumps(gate.answer_schema))}", "dim"))
    where = f"  {gate.key} · {gate.state} · asked {render.ago(gate.opened_at)} · {gate.id}"
    parts.append(Text(printable_line(where), "dim"))
    if gate.state == "open" and gate.may_answer == "owner":
        parts.append(Text("  Only owners of the organisation may answer this.", "yellow"))
    if gate.state == "open" and gate.expires_at is not None:
        then = f"answered {_json(gate.default)}" if gate.has_default else "answered by nobody"
        parts.append(Text(printable_line(f"  {then} at {iso(gate.expires_at)}"), "dim"))
    if gate.state == "answered":
        parts.append(Text.assemble(("  → ", "green"), printable(_json(gate.answer)), f"  by {gate.answered_by}"))
    if gate.note:
        parts.append(Text(f"  {printable(gate.note)}", "dim"))
    return Group(*parts)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ask(gate: GateOut, out: Console) -> Any:
    """The answer of a person, who is asked again where it is none; None: they leave it for later."""
    while True:
        try:
            line = out.input(Text("  › ", "cyan")).strip()
        except EOFError:
            return None
        if not line:
            return None
        try:
            return typed(gate, line)
        except InvalidInput as error:
            render.bad(out, str(error.detail), str(error.remedy))


def ask_why(gate: GateOut, answer: Any, out: Console) -> str:
    """What the agent is to be told of a denied call or a plan that is to be made anew; empty: nothing."""
    asked = TOLD.get((gate.kind, answer)) if isinstance(answer, str) else None
    if asked is None:
        return ""
    try:
        return out.input(Text(f"  {asked} (the agent reads it) › ", "cyan")).strip()
    except EOFError:
        return ""


def print_open(out: Console, gate: GateOut) -> None:
    """A question that waits, and the command that answers it."""
    render.print_block(out, shown(gate))
    render.command(out, "answer", f"pavo inbox answer {gate.id} {_example(gate)}")


def _example(gate: GateOut) -> str:
    if gate.kind == "approval":
        return "allow|deny"
    if gate.kind == "plan":
        return "accept|revise"
    return "1" if gate.choices else "…"
