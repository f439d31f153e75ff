"""`pavo up`: the embedded stack, in the foreground or in the background."""

import asyncio
import contextlib
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli import foreground
from pavo.cli.ask import layout_of
from pavo.cli.output import console, fields
from pavo.cli.words import Port
from pavo.deploy.layout import Layout
from pavo.deploy.lock import take_lock
from pavo.deploy.stack import THROW_AWAY, EmbeddedStack, remove_data
from pavo.errors import Conflict, InvalidInput


def up(
    *,
    port: Port = 8000,
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
    wanted = Wanted(folder, port, workers, ephemeral, allow_file_origin, spare_worker)
    try:
        return _detach(wanted) if detach else _stay(wanted, open_browser=open_browser)
    finally:
        _clear(folder)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stack as `pavo up` was told; the fields are its options."""

    folder: Path
    port: int
    workers: int
    ephemeral: bool
    allow_file_origin: bool
    spare_worker: bool

    def words(self) -> list[str]:
        """The same start as a command of its own that stays in the foreground.

        Not what was typed without its --detach: that can be said in several ways, and one that is overlooked starts a
        chain of children without an end.
        """
        valued = {"data-dir": self.folder, "port": self.port, "workers": self.workers}
        switched = {
            "ephemeral": self.ephemeral,
            "allow-file-origin": self.allow_file_origin,
            "spare-worker": self.spare_worker,
            "detach": False,
        }
        switches = [f"--{name}" if on else f"--no-{name}" for name, on in switched.items()]
        return ["up", *(f"--{name}={value}" for name, value in valued.items()), *switches, "--no-browser"]


def _stay(wanted: Wanted, *, open_browser: bool) -> int:
    stack = EmbeddedStack(
        wanted.folder,
        ephemeral=wanted.ephemeral,
        workers=wanted.workers,
        port=wanted.port,
        allow_file_origin=wanted.allow_file_origin,
        spare_worker=wanted.spare_worker,
        on_ready=foreground.say_ready,
    )
    return asyncio.run(foreground.run(stack, lambda: _started(stack, wanted.port, open_browser=open_browser)))


def _detach(wanted: Wanted) -> int:
    state = foreground.detach(wanted.words(), wanted.folder)
    stop = f"pavo down --data-dir {state.data_dir}"
    fields({"API": state.urls.api, "UI": state.urls.ui, "Data": state.data_dir, "Stop": stop})
    return 0


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise InvalidInput("A stack needs at least one worker.", field="--workers", remedy="Pass 1 or more.")


def _clear(folder: Path) -> None:
    """Remove throw-away data, unless a stack runs on them."""
    if (folder / THROW_AWAY).exists():
        with contextlib.suppress(Conflict), take_lock(Layout(folder)):
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
