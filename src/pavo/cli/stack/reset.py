"""`pavo reset`."""

import asyncio
from pathlib import Path

from pavo.cli.confirm import confirm
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Approved, layout_of
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.stack import end_orphans, remove_data
from pavo.deploy.model.state import refuse_running
from pavo.errors import NotFound


def reset(*, data_dir: Path | None = None, yes: Approved = False, output: Output = "text") -> int:
    """Remove the stack's data for good.

    Args:
        data_dir: the stack's data directory.
    """
    layout = layout_of(data_dir)
    refuse_running(layout.root)
    if not layout.lock.exists():
        raise NotFound(
            f"There is no stack's data in {layout.root}.", field="--data-dir", remedy="Name its folder with --data-dir."
        )
    with take_lock(layout):  # so that nobody starts on what is being removed
        if not confirm(f"Remove all tasks and data in {layout.root}?", approved=yes):
            return 1
        asyncio.run(end_orphans(layout))
        remove_data(layout.root)
    Printer(output).show({"removed": str(layout.root)}, f"Removed {layout.root}.")
    return 0
