"""`pavo status`."""

from pathlib import Path
from typing import Any, Final

from pavo.cli.exit_codes import DONE, FAILED, NOT_AVAILABLE
from pavo.cli.output import Output, Printer, console, table
from pavo.deploy.model.layout import default_data_dir
from pavo.deploy.model.state import StackState, read
from pavo.errors import NotFound

READY: Final = "ready"


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
    Printer(output).show(status_document(state), lambda: print_parts(state))
    return status_code(state)


def status_code(state: StackState) -> int:
    """The exit code that tells how a stack is."""
    if not state.supervisor.alive():
        return FAILED
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
        console().print(f"\nUI  {state.urls.ui}")
