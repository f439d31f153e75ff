"""`pavo deploy backup` and `restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.ask import confirm, layout_of
from pavo.cli.output import Format, Output, people, print_json, teller
from pavo.deploy.backups import local_backup


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
        output: a new folder; beneath the data directory without.
        verify: prove it on a scratch server.
        form: text for people, json for programs. Elsewhere it is --output too; here that names the folder.
    """
    say, folder = teller(people(form)), output and output.absolute()
    place, manifest = asyncio.run(local_backup.take_backup(layout_of(data_dir), folder, verify=verify, say=say))
    if form == "json":
        print_json({**manifest.model_dump(mode="json"), "folder": str(place), "verified": verify})
    return 0


def restore(
    place: Annotated[Path, Parameter(name="BACKUP")],
    /,
    *,
    data_dir: Path | None = None,
    auto_approve: bool = False,
    output: Output = "text",
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
    manifest = asyncio.run(local_backup.restore_backup(layout, place.absolute(), teller(people(output))))
    if output == "json":
        print_json({**manifest.model_dump(mode="json"), "folder": str(place.absolute()), "data_dir": str(layout.root)})
    return 0
