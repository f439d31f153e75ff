"""The last moment of a restore, which a crash may cut in two.

Restored copies lie beside the old databases until all are whole; those of a restore that ends before are taken away by
whoever has the databases next. Then one write of `deployment.json` decides: it names
the copies that take the place of the old databases, and the version and shards of the server that wrote them. From then
on it is ended by whoever has the databases first, the restore itself or after a crash the next start, before anything
works on them; doing it twice changes nothing.

Everything heavy is imported where it is used: every start asks, and hardly any has something to do.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pavo.deploy.model.layout import Layout

if TYPE_CHECKING:
    from pavo.deploy.local.components.database import DatabaseServer
    from pavo.deploy.model.deployment import Deployment


def _begun(layout: Layout) -> "Deployment | None":
    """What was chosen, if a restore was begun and not ended, decided or not."""
    if not (layout.root / "deployment.json").exists():
        return None
    from pavo.deploy.model import deployment as deployments

    chosen = deployments.load(layout)
    return chosen if chosen is not None and (chosen.copying or chosen.restoring) else None


def finish_files(layout: Layout) -> None:
    """Let the restored file of Temporal take its place, where it keeps one, or take it away; nothing has it open."""
    chosen = _begun(layout)
    if chosen is None:
        return
    from pavo.deploy.local.dumps import sqlite_file

    if chosen.copying:
        sqlite_file.discard(layout.temporal_file)
    else:
        sqlite_file.take_place(layout.temporal_file)


def finish(layout: Layout, server: "DatabaseServer", say: Callable[[str], None] = lambda _line: None) -> None:
    """End what was decided, and take away what was not; on a thread, with nobody else at the databases.

    Raises:
        Unavailable: PostgreSQL failed; the next one goes on.
    """
    chosen = _begun(layout)
    if chosen is None:
        return
    from pavo.deploy.local.dumps import database_dump as backup
    from pavo.deploy.model import deployment as deployments

    finish_files(layout)
    if chosen.copying:
        backup.discard(server, chosen.copying)
        told = "Took away what an interrupted restore had copied; the databases are as they were before it."
    else:
        backup.take_places(server, chosen.restoring)
        told = f"Ended an interrupted restore: {', '.join(chosen.restoring)}."
    deployments.save(layout, chosen.model_copy(update={"restoring": [], "copying": []}))
    say(told)
