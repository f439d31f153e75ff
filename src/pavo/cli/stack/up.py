"""`pavo up`: the embedded stack, in the foreground or in the background."""

import contextlib
import os
import tempfile
import webbrowser
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pavo.cli.output import Output, Printer, fields, teller
from pavo.cli.parameters import Detach, Port, layout_of
from pavo.cli.stack.launch import StackLaunch, begin_with_settings, launch, ready_line
from pavo.cli.stack.status import agents_rows
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.restarts.reload import Reload
from pavo.deploy.local.stack import THROW_AWAY, EmbeddedStack, LocalStack, remove_data
from pavo.deploy.model.layout import Layout, default_data_dir
from pavo.deploy.model.state import StackState, refuse_running
from pavo.errors import Conflict, InvalidInput
from pavo.kit.extras import require


def up(
    *,
    port: Annotated[Port, Parameter(env_var="PAVO_PORT")] = 8000,
    data_dir: Path | None = None,
    ephemeral: bool = False,
    workers: int = 1,
    allow_file_origin: bool = False,
    spare_worker: bool = True,
    reload: Annotated[bool, Parameter(negative=())] = False,
    detach: Detach = False,
    open_browser: Annotated[bool, Parameter(name="--open", negative="--no-browser")] = False,
    output: Output = "text",
) -> int:
    """Start the whole stack on this machine: PostgreSQL, Valkey, Temporal, API and workers.

    With -o json the document of `pavo status -o json`, once everything is ready.

    Args:
        port: of the API; a taken one is replaced by the next free one.
        data_dir: where everything is kept.
        ephemeral: throw-away data in a temporary folder.
        workers: how many worker processes.
        allow_file_origin: also serve pages opened from disk: any such page can then do everything here.
        spare_worker: keep one more process waiting, to replace a worker that dies at once (about 100 MB).
        reload: start the workers again when files of agents change; tasks go on with the new code, nothing is cut.
        open_browser: open the UI.
    """
    _check_workers(workers)
    require("The embedded stack", "server", "embedded")
    folder = _temporary() if ephemeral and data_dir is None else _of_this_target(data_dir)
    options = UpOptions(folder, port, workers, ephemeral, allow_file_origin, spare_worker, reload)
    printer = Printer(output)
    shown = printer.people
    ready = partial(_tell, options, shown, printer, detached=detach, open_browser=open_browser)
    try:
        refuse_running(folder)
        begin_with_settings(Layout(folder), shown)
        return launch(_launch_of(options, shown), ready, shown, detach=detach)
    finally:
        _clear(folder)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """A stack as `pavo up` was told; the fields are its options."""

    folder: Path
    port: int
    workers: int
    ephemeral: bool
    allow_file_origin: bool
    spare_worker: bool
    reload: bool = False

    def words(self) -> list[str]:
        """The same start as a command of its own that stays in the foreground.

        They are made anew, not taken from what was typed: there --detach can be written in several ways, and one that
        is overlooked would start an endless chain of children.
        """
        valued = {"data-dir": self.folder, "port": self.port, "workers": self.workers}
        switched = {
            "ephemeral": self.ephemeral,
            "allow-file-origin": self.allow_file_origin,
            "spare-worker": self.spare_worker,
        }
        switches = [f"--{name}" if on else f"--no-{name}" for name, on in switched.items()]
        values = [f"--{name}={value}" for name, value in valued.items()]
        reload = ["--reload"] if self.reload else []
        return ["up", *values, *switches, *reload, "--foreground", "--no-browser"]


def _stack(options: UpOptions, shown: Console) -> EmbeddedStack:
    return EmbeddedStack(
        options.folder,
        ephemeral=options.ephemeral,
        workers=options.workers,
        port=options.port,
        allow_file_origin=options.allow_file_origin,
        spare_worker=options.spare_worker,
        on_ready=ready_line(shown),
    )


def _launch_of(options: UpOptions, shown: Console) -> StackLaunch:
    beside = partial(_reload, shown) if options.reload else None
    return StackLaunch(options.folder, partial(_stack, options, shown), options.words(), beside=beside)


async def _reload(shown: Console, stack: LocalStack) -> None:
    await Reload(stack.supervisor, teller(shown)).run()


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise InvalidInput("A stack needs at least one worker.", field="--workers", remedy="Pass 1 or more.")


def _clear(folder: Path) -> None:
    """Remove throw-away data, unless a stack runs on it."""
    if (folder / THROW_AWAY).exists():
        with contextlib.suppress(Conflict), take_lock(Layout(folder)):
            remove_data(folder)


def _of_this_target(data_dir: Path | None) -> Path:
    folder = layout_of(data_dir).root
    if not (folder / "deployment.json").exists():
        return folder
    from pavo.deploy.model import deployment

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


def _tell(
    options: UpOptions, shown: Console, printer: Printer, state: StackState, *, detached: bool, open_browser: bool
) -> None:
    """What is different from what was asked for, what it opens, where everything is, and what to do next."""
    urls = state.urls
    if options.port and not urls.api.endswith(f":{options.port}"):
        taken = f"Port {options.port} is taken; the API uses {urls.api.rpartition(':')[2]} instead."
        shown.print(Text(taken, "yellow"))
    if options.allow_file_origin:
        served = "Pages opened from disk are served: any HTML file you open can command your tasks."
        shown.print(Text(served, "yellow"))
    shown.print()
    rows = {
        "API": urls.api,
        "UI": urls.ui,
        "API docs": urls.docs,
        "Temporal UI": urls.temporal_ui,
        **agents_rows(urls),
        "Data": state.data_dir,
        "Next": 'pavo run "Analyze churn drivers"' + ("" if _found_by_itself(state) else f" --url {urls.api}"),
    }
    fields(rows | ({"Stop": f"pavo down --data-dir {state.data_dir}"} if detached else {}), to=shown)
    printer.show(state.public())
    if open_browser:
        webbrowser.open(urls.ui)


def _found_by_itself(state: StackState) -> bool:
    """Whether other commands find this stack without --url and --data-dir."""
    return "PAVO_URL" not in os.environ and Path(state.data_dir) == default_data_dir()
