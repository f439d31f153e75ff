"""`pavo down`, `status`, `logs`, `reset`: the stack of this machine."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pavo.cli.ask import confirm, layout_of
from pavo.cli.output import Output, console, print_json, table, tell
from pavo.cli.words import Lines
from pavo.deploy.local import control
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.logs import new_lines, tail
from pavo.deploy.local.stack import end_orphans, remove_data
from pavo.deploy.model.layout import default_data_dir
from pavo.deploy.model.state import StackState, read, refuse_running
from pavo.errors import NotFound


def down(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Stop the stack; tasks in flight go on at the next `pavo up`.

    Args:
        data_dir: the stack's data directory.
    """
    layout = layout_of(data_dir)
    stopped = asyncio.run(control.stop(layout.root))
    ended = 0 if stopped else asyncio.run(end_orphans(layout))
    left = f"Ended {ended} processes of a killed stack." if ended else "No stack runs here."
    document = {"stopped": stopped, "ended_processes_of_a_killed_stack": ended, "data_dir": str(layout.root)}
    tell(output, "Stopped." if stopped else left, document)
    return 0


def status(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Show the stack's parts; exit code 1 when it does not run.

    Args:
        data_dir: the stack's data directory.
    """
    state = read(data_dir)
    if state is None:
        raise NotFound(
            f"There is no stack in {data_dir or default_data_dir()}.", field="--data-dir", remedy="Start it: pavo up"
        )
    alive, shown = state.supervisor.alive(), described(state)
    if output == "json":
        print_json(shown)
    else:
        columns = ("name", "state", "pid", "address", "restarts")
        rows = [["" if part[column] is None else part[column] for column in columns] for part in shown["parts"]]
        table(columns, rows)
        if alive:
            console().print(f"\nUI  {state.urls.ui}")
    return 0 if alive else 1


def described(state: StackState) -> dict[str, Any]:
    """What `-o json` shows of a stack; once its supervisor is gone, its parts are too."""
    found = state.public()
    if not state.supervisor.alive():
        for part in found["parts"]:
            part.update(state="stopped", pid=None)
    return found


def logs(
    part: str | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Lines = 100,
    data_dir: Path | None = None,
    output: Output = "text",
) -> int:
    """Show the parts' logs; with -o json a JSON object {part, line} for each line.

    Args:
        part: one part, for example worker-1; all without.
        follow: go on until Ctrl-C.
        lines: how many of the newest lines of each part.
        data_dir: the stack's data directory.
    """
    layout = layout_of(data_dir)
    files = {file.stem: file for file in sorted(layout.logs.glob("*.log"))}
    if part is not None and part not in files:
        raise NotFound(f"There is no log of {part}.", field="part", remedy=f"Logs: {', '.join(files) or 'none yet'}.")
    chosen = {name: file for name, file in files.items() if part in (None, name)}
    show = print_log_line if output == "json" else _print_named if part is None else _print_line
    offsets = {name: file.stat().st_size for name, file in chosen.items()}
    for name, file in chosen.items():
        _show_all(show, name, tail(file, lines))
    while follow:
        for name, file in chosen.items():
            fresh, offsets[name] = new_lines(file, offsets[name])
            _show_all(show, name, fresh)
        time.sleep(0.2)
    return 0


def print_log_line(part: str, line: str) -> None:
    """A line of a log for programs."""
    print_json({"part": part, "line": line}, indent=None)


def _print_named(part: str, line: str) -> None:
    sys.stdout.write(f"{part:<10} {line}\n")


def _print_line(_part: str, line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _show_all(show: Callable[[str, str], None], part: str, lines: Iterable[str]) -> None:
    for line in lines:
        show(part, line)
    sys.stdout.flush()


def reset(*, data_dir: Path | None = None, yes: bool = False, output: Output = "text") -> int:
    """Remove the stack's data for good.

    Args:
        data_dir: the stack's data directory.
        yes: do not ask.
    """
    layout = layout_of(data_dir)
    refuse_running(layout.root)
    if not layout.lock.exists():
        raise NotFound(f"There is no stack's data in {layout.root}.", field="--data-dir")
    with take_lock(layout):  # so that nobody starts on what is being removed
        if not yes and not confirm(f"Remove all tasks and data in {layout.root}?", option="--yes"):
            return 1
        asyncio.run(end_orphans(layout))
        remove_data(layout.root)
    tell(output, f"Removed {layout.root}.", {"removed": str(layout.root)})
    return 0
