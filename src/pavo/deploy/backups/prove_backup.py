"""The proof of a backup: it is restored into a scratch server, and every row is counted."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.postgres import PostgresServer
from pavo.deploy.local.components.postgres_programs import PostgresPrograms
from pavo.deploy.local.definition import LocalOptions, StackDefinition, local_urls
from pavo.deploy.local.dumps import artifact_files, database_dump, sqlite_file
from pavo.deploy.local.machine.blocking_work import in_thread
from pavo.deploy.local.machine.ports import LOOPBACK, free_port
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.local.stack import LocalStack, remove_data
from pavo.deploy.model.layout import Layout, load_secrets
from pavo.errors import Unavailable


async def prove(place: Path, programs: PostgresPrograms) -> None:
    """Restore into a scratch server, which is gone afterwards.

    Raises:
        PavoError: it cannot be restored, or its tables have other counts.
    """
    manifest = database_dump.read_manifest(place)
    if manifest.artifacts is not None:
        await in_thread(artifact_files.prove, place)
    with tempfile.TemporaryDirectory(prefix="pavo-scratch-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        try:
            async with scratch_server(root, programs) as server:
                await in_thread(
                    database_dump.restore_beside, server, programs.home(unprivileged()) / "bin", place, manifest
                )
            for each in manifest.databases.values():
                if each.file.endswith(".db") and sqlite_file.count(place / each.file) != each.rows:
                    raise Unavailable(f"{place / each.file} is not whole.", dependency="temporal")
        finally:
            remove_data(root / "data")


@asynccontextmanager
async def scratch_server(root: Path, programs: PostgresPrograms) -> AsyncGenerator[DatabaseServer]:
    """A PostgreSQL of its own with nothing in it."""
    layout = Layout(root / "data")
    port = free_port()

    def build(found: Layout) -> StackDefinition:
        postgres = PostgresServer(
            found,
            unprivileged(),
            programs,
            port=port,
            password=load_secrets(found).postgres,
            ephemeral=True,
            databases=(),
            settled=lambda _url: None,
        )
        return StackDefinition(
            "scratch", LocalOptions(ephemeral=True), {"postgres": postgres}, {}, local_urls("", ""), {}
        )

    async with LocalStack(layout.root, build):
        yield DatabaseServer(LOOPBACK, port, "pavo", load_secrets(layout).postgres, "disable")
