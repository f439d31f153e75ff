"""`pavo status`."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, cast
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from rich.text import Text

from pavo.cli.exit_codes import DONE, FAILED, NOT_AVAILABLE
from pavo.cli.output import Output, Printer, console
from pavo.cli.table import table
from pavo.deploy.model.layout import default_data_dir
from pavo.deploy.model.state import StackState, Urls, read
from pavo.errors import NotFound
from pavo.observe.printable import printable_line

READY: Final = "ready"
ASK_SECONDS: Final = 8.0
"""For the API's answer, which itself waits for what it asks."""
MOST_BYTES: Final = 64_000
"""Of that answer."""
DEPENDENCIES: Final = ("postgres", "redis", "temporal", "reconciled")
OK: Final = "ok"
"""As `/readyz` names them."""


def status(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Show the stack's parts; exit code 0 when all are ready, 5 when one is not, 1 when the stack does not run.

    Args:
        data_dir: the stack's data directory.
    """
    state = read(data_dir)
    if state is None:
        raise NotFound(
            f"There is no stack in {data_dir or default_data_dir()}.", field="--data-dir", remedy="Start it: pavo up"
        )
    wrong = ask_what_is_wrong(state)

    def print_all() -> None:
        print_parts(state)
        print_wrong(wrong)

    Printer(output).show({**status_document(state), "wrong": dict(wrong)}, print_all)
    return status_code(state, wrong)


def ask_what_is_wrong(state: StackState) -> Mapping[str, str]:
    """What the API finds wrong, by what it depends on: all parts may run while a disk is full.

    Empty where nothing is, and where the API gives no answer: that, its part's state says.
    """
    if not state.supervisor.alive() or not any(part.name == "api" and part.state == READY for part in state.parts):
        return {}
    try:
        try:
            answer = build_opener(ProxyHandler({})).open(f"{state.urls.api}/readyz", timeout=ASK_SECONDS)
        except HTTPError as refusal:
            answer = refusal  # 503 has the same body
        with answer:
            told: object = json.loads(answer.read(MOST_BYTES))
    except (OSError, ValueError, HTTPException):
        return {}
    found = cast("dict[str, object]", told) if isinstance(told, dict) else {}
    return {name: said for name, said in found.items() if name in DEPENDENCIES and isinstance(said, str) and said != OK}


def print_wrong(wrong: Mapping[str, str]) -> None:
    """A line for each thing that is wrong."""
    for name, said in wrong.items():
        console().print(Text.assemble(("!", "yellow"), f" {name}: {printable_line(said)}"), soft_wrap=True)


def status_code(state: StackState, wrong: Mapping[str, str]) -> int:
    """The exit code that tells how a stack is; without Redis it is a ready one, as for the API."""
    if not state.supervisor.alive():
        return FAILED
    if wrong.keys() - {"redis"}:
        return NOT_AVAILABLE
    return DONE if state.ready and all(part.state == READY for part in state.parts) else NOT_AVAILABLE


def status_document(state: StackState) -> dict[str, Any]:
    """What `-o json` shows of a stack; once its supervisor is gone, its parts are too."""
    document = state.public()
    if not state.supervisor.alive():
        for part in document["parts"]:
            part.update(state="stopped", pid=None, version="")
    return document


def print_parts(state: StackState) -> None:
    """A line for each part, and where the UI is while the stack runs."""
    columns = ("name", "state", "pid", "address", "restarts")
    parts = status_document(state)["parts"]
    table(columns, [["" if part[column] is None else part[column] for column in columns] for part in parts])
    if state.supervisor.alive():
        console().print(f"\nUI          {state.urls.ui}")
        for name, value in agents_rows(state.urls).items():
            console().print(f"{name:<10}  {value}", soft_wrap=True)


def agents_rows(urls: Urls) -> dict[str, str]:
    """Where remote agents connect to, and the file that they are given; none where there is no gateway."""
    rows = {"Agents": urls.gateway} if urls.gateway else {}
    return rows | ({"Agents' CA": urls.gateway_ca} if urls.gateway and urls.gateway_ca else {})
