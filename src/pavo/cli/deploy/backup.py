"""`pavo deploy backup` and `restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.confirm import confirm
from pavo.cli.output import Format, Output, Printer, teller
from pavo.cli.parameters import Approved, layout_of
from pavo.deploy.backups.restore_backup import restore_backup
from pavo.deploy.backups.take_backup import take_backup


def backup(
    *,
    data_dir: Path | None = None,
    output: Annotated[Path | None, Parameter(name="--output")] = None,
    verify: bool = True,
    form: Annotated[Format, Parameter(name=["--format", "-o"])] = "text",
) -> int:
    """Back up all databases, of one moment, while everything works; then restore it into a scratch server as proof.

    Args:
        data_dir: where everything is kept.
        output: a new folder; default: one beneath the data directory.
        verify: prove it on a scratch server.
        form: text for people, json for programs. Elsewhere it is --output too; here that names the folder.
    """
    printer, folder = Printer(form), output and output.absolute()
    say = teller(printer.people)
    place, manifest = asyncio.run(take_backup(layout_of(data_dir), folder, verify=verify, say=say))
    printer.show({**manifest.model_dump(mode="json"), "folder": str(place), "verified": verify})
    return 0


def restore(
    place: Annotated[Path, Parameter(name="BACKUP")],
    /,
    *,
    data_dir: Path | None = None,
    yes: Approved = False,
    output: Output = "text",
) -> int:
    """Put a backup in the place of a stopped deployment's databases.

    Args:
        place: the backup's folder.
        data_dir: where everything is kept.
    """
    layout, printer = layout_of(data_dir), Printer(output)
    if not confirm(f"Replace all tasks of {layout.root} by those of {place}?", approved=yes):
        return 1
    manifest = asyncio.run(restore_backup(layout, place.absolute(), teller(printer.people)))
    printer.show({**manifest.model_dump(mode="json"), "folder": str(place.absolute()), "data_dir": str(layout.root)})
    return 0
