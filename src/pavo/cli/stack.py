"""`pavo up`, `down`, `status`, `logs`, `reset`: the embedded stack."""

import asyncio
import signal
import sys
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli import foreground
from pavo.cli.ask import confirm, layout_of
from pavo.cli.output import Output, console, fields, print_json, say, table
from pavo.deploy.layout import Layout, default_data_dir
from pavo.deploy.logs import new_lines, tail
from pavo.deploy.stack import THROW_AWAY, EmbeddedStack, end_orphans, remove_data
from pavo.deploy.state import read, running
from pavo.errors import ConfigurationError, Conflict, InvalidInput, NotFound, Unavailable

DOWN_SECONDS = 40.0


def up(
    *,
    port: int = 8000,
    data_dir: Path | None = None,
    ephemeral: bool = False,
    workers: int = 1,
    allow_file_origin: bool = False,
    spare_worker: bool = True,
    detach: bool = False,
    open_browser: Annotated[bool, Parameter(name="--open", negative="--no-browser")] = False,
) -> int:
    """Start the whole stack on this machine: PostgreSQL, Valkey, Temporal, API and workers.

    Args:
        port: of the API; a taken one is replaced by the next free one.
        data_dir: where everything is kept.
        ephemeral: throw-away data in a temporary folder.
        workers: how many worker processes.
        allow_file_origin: also serve pages opened from disk: any such page can then do everything here.
        spare_worker: keep one more process waiting, to replace a worker that dies at once (about 100 MB).
        detach: return as soon as the stack is ready.
        open_browser: open the UI.
    """
    _check_workers(workers)
    folder = _temporary() if ephemeral and data_dir is None else _of_this_target(data_dir)
    if detach:
        return _detach(folder, ephemeral=ephemeral)
    stack = EmbeddedStack(
        folder,
        ephemeral=ephemeral,
        workers=workers,
        port=port,
        allow_file_origin=allow_file_origin,
        spare_worker=spare_worker,
        on_ready=foreground.say_ready,
    )
    try:
        return asyncio.run(foreground.run(stack, lambda: _started(stack, port, open_browser=open_browser)))
    finally:
        _clear(folder)


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise InvalidInput("A stack needs at least one worker.", field="--workers", remedy="Pass 1 or more.")


def _clear(folder: Path) -> None:
    """Remove throw-away data."""
    if (folder / THROW_AWAY).exists():
        remove_data(folder)


def _of_this_target(data_dir: Path | None) -> Path:
    folder = layout_of(data_dir).root
    if not (folder / "deployment.json").exists():
        return folder
    from pavo.deploy import deployment

    chosen = deployment.load(Layout(folder))
    if chosen is not None and chosen.target is not deployment.TargetName.EMBEDDED:
        raise Conflict(
            f"{folder} was deployed as {chosen.target}.",
            field="--data-dir",
            remedy="Start it with pavo deploy start, or choose another --data-dir.",
        )
    return folder


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pavo-"))
    folder.chmod(0o711)  # PostgreSQL's own user walks through it
    (folder / THROW_AWAY).touch()
    return folder


def _started(stack: EmbeddedStack, wanted: int, *, open_browser: bool) -> None:
    urls, shown = stack.target.urls, console()
    if wanted and not urls.api.endswith(f":{wanted}"):
        shown.print(f"[yellow]Port {wanted} is taken; the API uses {urls.api.rpartition(':')[2]} instead.[/]")
    if stack.target.options.allow_file_origin:
        shown.print("[yellow]Pages opened from disk are served: any HTML file you open can command your tasks.[/]")
    shown.print()
    rows = {
        "API": urls.api,
        "UI": urls.ui,
        "API docs": urls.docs,
        "Temporal UI": urls.temporal_ui,
        "Data": str(stack.layout.root),
        "Next": 'pavo run "Analyze churn drivers"',
    }
    fields(rows)
    if open_browser:
        webbrowser.open(urls.ui)


def _detach(folder: Path, *, ephemeral: bool) -> int:
    rest = [word for word in sys.argv[1:] if word != "--detach"]
    if ephemeral and not any(word.startswith("--data-dir") for word in rest):
        rest += ["--data-dir", str(folder)]
    state = foreground.detach(rest, folder)
    stop = f"pavo down --data-dir {state.data_dir}"
    fields({"API": state.urls.api, "UI": state.urls.ui, "Data": state.data_dir, "Stop": stop})
    return 0


def down(*, data_dir: Path | None = None) -> int:
    """Stop the stack; tasks in flight go on at the next `pavo up`.

    Args:
        data_dir: the stack's data directory.
    """
    state = running(data_dir)
    if state is None:
        left = asyncio.run(end_orphans(layout_of(data_dir)))
        console().print(f"Ended {left} processes of a killed stack." if left else "No stack runs here.")
        return 0
    state.supervisor.signal(signal.SIGTERM)
    if not asyncio.run(state.supervisor.wait_gone(DOWN_SECONDS)):
        state.supervisor.signal(signal.SIGKILL)
        raise Unavailable("The stack did not end in time and was killed.", dependency="stack")
    console().print("Stopped.")
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
    alive = state.supervisor.alive()
    described = state.public()
    if not alive:
        for part in described["parts"]:
            part.update(state="stopped", pid=None)
    if output == "json":
        print_json(described)
    else:
        columns = ("name", "state", "pid", "address", "restarts")
        rows = [["" if part[column] is None else part[column] for column in columns] for part in described["parts"]]
        table(columns, rows)
        if alive:
            console().print(f"\nUI  {state.urls.ui}")
    return 0 if alive else 1


def logs(
    part: str | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: int = 100,
    data_dir: Path | None = None,
) -> int:
    """Show the parts' logs.

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
    offsets = {name: file.stat().st_size for name, file in chosen.items()}
    for name, file in chosen.items():
        _print_lines(name, tail(file, lines), named=part is None)
    while follow:
        for name, file in chosen.items():
            fresh, offsets[name] = new_lines(file, offsets[name])
            _print_lines(name, list(fresh), named=part is None)
        time.sleep(0.2)
    return 0


def _print_lines(name: str, lines: list[str], *, named: bool) -> None:
    for line in lines:
        sys.stdout.write(f"{name:<10} {line}\n" if named else f"{line}\n")
    sys.stdout.flush()


def reset(*, data_dir: Path | None = None, yes: bool = False) -> int:
    """Remove the stack's data for good.

    Args:
        data_dir: the stack's data directory.
        yes: do not ask.
    """
    layout = layout_of(data_dir)
    if running(layout.root):
        raise ConfigurationError("The stack runs.", field="--data-dir", remedy="Stop it first: pavo down")
    if not layout.lock.exists():
        raise NotFound(f"There is no stack's data in {layout.root}.", field="--data-dir")
    if not yes and not confirm(f"Remove all tasks and data in {layout.root}?", option="--yes"):
        return 1
    remove_data(layout.root)
    say(f"Removed {layout.root}.")
    return 0
