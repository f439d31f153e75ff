"""`pavo deploy backup` and `restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.ask import confirm, layout_of
from pavo.cli.output import say
from pavo.deploy import local_backup


def backup(
    *,
    data_dir: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    verify: bool = True,
) -> int:
    """Back up all databases, of one moment, while everything works; then restore it into a scratch server as proof.

    Args:
        data_dir: where everything is kept.
        output: a new folder; beneath the data directory without.
        verify: prove it on a scratch server.
    """
    asyncio.run(local_backup.take_backup(layout_of(data_dir), output and output.absolute(), verify=verify, say=say))
    return 0


def restore(
    place: Annotated[Path, Parameter(name="BACKUP")], /, *, data_dir: Path | None = None, auto_approve: bool = False
) -> int:
    """Put a backup in the place of a stopped deployment's databases.

    Args:
        place: the backup's folder.
        data_dir: where everything is kept.
        auto_approve: do not ask.
    """
    layout = layout_of(data_dir)
    if not auto_approve and not confirm(f"Replace all tasks of {layout.root} by those of {place}?"):
        return 1
    asyncio.run(local_backup.restore_backup(layout, place.absolute(), say))
    return 0
