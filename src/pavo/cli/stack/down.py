"""`pavo down`."""

import asyncio
from pathlib import Path

from pavo.cli.output import Output, Printer
from pavo.cli.parameters import layout_of
from pavo.deploy.local import control
from pavo.deploy.local.stack import end_orphans


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
    Printer(output).show(document, "Stopped." if stopped else left)
    return 0
