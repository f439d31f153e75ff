"""The last moment of a restore, which a crash may cut in two.

Restored copies lie beside the old databases until all are whole. If the restore ends before that, whoever opens the
databases next removes them. Once all are whole, one write of `deployment.json` decides: it names the copies that take
the place of the old databases, and the version and shards of the server that wrote them. From then on the restore is
completed before anything works on the databases, by itself or, after a crash, by the next start; doing it twice changes
nothing.

Everything heavy is imported where it is used: every start looks for such a restore, and hardly any finds one.
"""

from typing import TYPE_CHECKING

from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.progress import Say, say_nothing

if TYPE_CHECKING:
    from pavo.deploy.model.deployment import Deployment


def _begun(layout: Layout) -> "Deployment | None":
    """What was chosen, if a restore was begun and not ended, decided or not."""
    if not (layout.root / "deployment.json").exists():
        return None
    from pavo.deploy.model import deployment as deployments

    chosen = deployments.load(layout)
    return chosen if chosen is not None and (chosen.copying or chosen.restoring) else None


def finish_files(layout: Layout) -> None:
    """Let Temporal's restored file take its place, or remove it where nothing was decided; Temporal must not run."""
    chosen = _begun(layout)
    if chosen is None:
        return
    from pavo.deploy.local.dumps import sqlite_file

    if chosen.copying:
        sqlite_file.discard(layout.temporal_file)
    else:
        sqlite_file.take_place(layout.temporal_file)


def finish(layout: Layout, server: DatabaseServer, say: Say = say_nothing) -> None:
    """Complete a restore that was decided, and remove what one that was not has copied; on a thread, while nobody else
    uses the databases.

    Raises:
        Unavailable: PostgreSQL failed; the next call continues.
    """
    chosen = _begun(layout)
    if chosen is None:
        return
    from pavo.deploy.local.dumps import database_dump
    from pavo.deploy.model import deployment as deployments

    finish_files(layout)
    if chosen.copying:
        database_dump.discard(server, chosen.copying)
        told = "Took away what an interrupted restore had copied; the databases are as they were before it."
    else:
        database_dump.take_places(server, chosen.restoring)
        told = f"Ended an interrupted restore: {', '.join(chosen.restoring)}."
    deployments.save(layout, chosen.model_copy(update={"restoring": [], "copying": []}))
    say(told)
