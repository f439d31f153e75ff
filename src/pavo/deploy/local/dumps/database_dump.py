"""Backups of everything that a stack keeps: taken while it works, of one moment over all databases, and proven.

PostgreSQL cannot take one snapshot of several databases. So for an instant every table of each of them is locked
against writers, a snapshot of each is taken, and the locks are let go; the dumps then read those snapshots while work
goes on. All snapshots are of the same instant, so a task in one database fits its workflow in the other.
"""

import contextlib
import hashlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import BaseModel

from pavo.artifacts.store import BlobStore
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection, maintenance_refusals
from pavo.deploy.local.dumps import artifact_files, sqlite_file
from pavo.deploy.local.dumps.artifact_files import BackedUpArtifacts
from pavo.errors import ConfigurationError, NotFound, Unavailable

BACKED_UP = ("pavo", "temporal", "temporal_visibility")
"""Pavo's database, and Temporal's two where it keeps them in PostgreSQL."""
DUMP = ".dump"
SQLITE = "temporal.db"
LOCK_MS = 300
"""Below PostgreSQL's deadlock_timeout (1 s): when a writer and a backup wait for each other, the backup gives up
first."""
DEADLOCK_MS = 100
LOCK_TRIES = 40
PAUSE = 0.1
Connection = psycopg.Connection[tuple[Any, ...]]


class BackedUp(BaseModel):
    """One database in a backup."""

    file: str
    sha256: str
    rows: dict[str, int]
    """Of every table, counted in the very snapshot that was dumped."""


class Manifest(BaseModel):
    """What a backup holds; written last, so that a folder without it is no backup."""

    taken_at: datetime
    target: str
    temporal_version: str
    postgres_version: str
    shards: int
    locked_ms: float
    """For how long writers waited."""
    databases: dict[str, BackedUp]
    worker_build: str | None = None
    """The build id of the workers, to which Temporal's data pin tasks; None in backups from before it was recorded."""
    codec_key: str | None = None
    """Fingerprint of the key that encrypts what Temporal holds; empty where nothing is encrypted; None in backups from
    before it was recorded, or of a deployment that keeps no settings."""
    sealing_key: str | None = None
    """Fingerprint of the key that seals organisations' secrets, which is not in the backup; None in backups from before
    it was recorded."""
    artifacts: BackedUpArtifacts | None = None
    """What their rows name; None in backups from before there were any."""
    verified: bool = False


@maintenance_refusals()
def take(
    server: DatabaseServer,
    programs: Path,
    folder: Path,
    *,
    target: str,
    temporal_version: str,
    shards: int,
    worker_build: str = "",
    databases: tuple[str, ...] = BACKED_UP,
    sqlite: Path | None = None,
    store: BlobStore | None = None,
) -> Manifest:
    """Back up into a new folder.

    Args:
        programs: the folder with pg_dump, at least as new as the server.
        sqlite: Temporal's file where it has one: of the same moment.
        store: where the content of artifacts lies, if it is to be backed up too.

    Raises:
        ConfigurationError: the folder is not empty.
        Unavailable: PostgreSQL does not answer, or writers could not be stopped for an instant.
    """
    _make_private(folder)
    copies = _copies(server, programs, folder, databases, sqlite, store)
    manifest = Manifest(
        taken_at=datetime.now(UTC),
        target=target,
        temporal_version=temporal_version,
        shards=shards,
        worker_build=worker_build,
        **copies,
    )
    return write_manifest(folder, manifest)


def _copies(
    server: DatabaseServer,
    programs: Path,
    folder: Path,
    databases: tuple[str, ...],
    sqlite: Path | None,
    store: BlobStore | None,
) -> dict[str, Any]:
    """Copy everything as of one moment; what the manifest says of it."""
    with contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(maintenance_connection(server, name)) for name in databases}
        version = next(iter(readers.values())).info.server_version
        if store is not None:
            artifact_files.hold(readers["pavo"])
        locked_ms = _one_moment(server, readers, lambda: _copy(sqlite, folder / SQLITE))
        done = {"temporal": _described(folder / SQLITE, sqlite_file.count(folder / SQLITE))} if sqlite else {}
        done |= {name: _dump(server, programs, name, reader, folder) for name, reader in readers.items()}
        artifacts = artifact_files.copy(readers["pavo"], store, folder) if store is not None else None
    return {
        "postgres_version": str(version // 10_000),
        "locked_ms": round(locked_ms, 1),
        "databases": done,
        "artifacts": artifacts,
    }


def _make_private(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is not empty.", field="--output", remedy="Name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """What makes a folder a backup; answers what was written."""
    draft = folder / ".manifest.json"
    draft.write_text(manifest.model_dump_json(indent=1))
    draft.replace(folder / "manifest.json")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a backup holds, its files proven against it.

    Raises:
        NotFound: the folder holds no whole backup.
        ConfigurationError: a file was changed or cut short since.
    """
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{folder} holds no whole backup: it has no manifest.json.", field="BACKUP") from error
    for name, each in manifest.databases.items():
        file = folder / each.file
        if not file.exists() or _sha256(file) != each.sha256:
            raise ConfigurationError(
                f"{file} is not what was backed up of {name}.", field="BACKUP", remedy="Use another backup."
            )
    if manifest.artifacts is not None:
        artifact_files.check(folder, manifest.artifacts)
    return manifest


def _copy(sqlite: Path | None, file: Path) -> None:
    if sqlite is not None:
        with sqlite_file.held(sqlite):
            sqlite_file.copy(sqlite, file)


def _described(file: Path, rows: dict[str, int]) -> BackedUp:
    return BackedUp(file=file.name, sha256=_sha256(file), rows=rows)


def _one_moment(server: DatabaseServer, readers: Mapping[str, Connection], also: Callable[[], None]) -> float:
    """Begin in each reader a transaction that sees the same instant; answers how many milliseconds writers waited.

    `also` is done in that instant.

    Raises:
        Unavailable: long transactions or an autovacuum of others kept us from it.
    """
    with contextlib.ExitStack() as stack:
        lockers = {name: stack.enter_context(maintenance_connection(server, name)) for name in readers}
        for locker in lockers.values():
            _be_quick(locker)
        for _ in range(LOCK_TRIES):
            begun = time.monotonic()
            try:
                for locker in lockers.values():
                    _lock(locker)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                _let_go(lockers)
                time.sleep(PAUSE)  # so that those who wait for us come through
                continue
            for reader in readers.values():
                reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                reader.execute("SELECT 1")  # this is when its snapshot is taken
            also()
            _let_go(lockers)
            return (time.monotonic() - begun) * 1000
    raise Unavailable(
        "Writers could not be stopped for an instant: a long transaction or an autovacuum holds a table. Try again.",
        dependency="postgres",
    )


def _be_quick(locker: Connection) -> None:
    """Have PostgreSQL look early for who blocks us: then it ends an autovacuum, and in a deadlock it ends us, not the
    writer.

    Only a superuser may ask for that; other users wait for the autovacuum until their tries are used up.
    """
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        locker.execute(sql.SQL("SET deadlock_timeout = {}").format(sql.Literal(DEADLOCK_MS)))


def _lock(locker: Connection) -> None:
    """Every table against writers; readers are not held up."""
    names = tables(locker)
    locker.execute("BEGIN")
    if not names:
        return
    locker.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_MS)))
    listed = sql.SQL(", ").join(sql.Identifier("public", name) for name in names)
    locker.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(listed))


def _let_go(lockers: Mapping[str, Connection]) -> None:
    for locker in lockers.values():
        locker.execute("ROLLBACK")


def tables(session: Connection) -> list[str]:
    """The names of a database's tables."""
    rows = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename").fetchall()
    return [str(row[0]) for row in rows]


def count(session: Connection) -> dict[str, int]:
    """Rows of every table, as this session's transaction sees them."""
    found: dict[str, int] = {}
    for name in tables(session):
        row = session.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", name))).fetchone()
        found[name] = int(row[0]) if row else 0
    return found


def _dump(server: DatabaseServer, programs: Path, name: str, reader: Connection, folder: Path) -> BackedUp:
    row = reader.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    file = folder / f"{name}{DUMP}"
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={row[0]}"]
    run_program(server, programs, [*command, f"--file={file}", f"--dbname={name}"])
    file.chmod(0o600)
    return _described(file, count(reader))


def run_program(server: DatabaseServer, programs: Path, command: list[str]) -> None:
    """Run one of PostgreSQL's own programs against a server; the password goes by the environment.

    Raises:
        Unavailable: it failed; its words are told.
    """
    environment = {
        "PATH": "/usr/bin:/bin",
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGSSLMODE": server.sslmode,
        **({"PGSSLROOTCERT": server.ca} if server.ca else {}),
    }
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip()[-600:]}", dependency="postgres")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_postgres(manifest: Manifest) -> list[str]:
    """The names of the databases that PostgreSQL holds."""
    return [name for name, each in manifest.databases.items() if each.file.endswith(DUMP)]


@maintenance_refusals()
def restore_beside(server: DatabaseServer, programs: Path, folder: Path, manifest: Manifest) -> None:
    """Restore a backup's databases beside the old ones, and count every table.

    The old databases stay as they are until `take_places`.

    Raises:
        Unavailable: PostgreSQL failed, or what was restored is not what was counted.
    """
    dumped = {name: manifest.databases[name] for name in of_postgres(manifest)}
    for name, each in dumped.items():
        fresh = _fresh(name)
        discard(server, [name])
        with maintenance_connection(server, "postgres") as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(fresh)))
        command = ["pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={fresh}"]
        run_program(server, programs, [*command, str(folder / each.file)])
        with maintenance_connection(server, fresh) as session:
            found = count(session)
        if found != each.rows:
            wrong = sorted(table for table in {*found, *each.rows} if found.get(table) != each.rows.get(table))
            raise Unavailable(f"{name} was not restored whole: {', '.join(wrong)}.", dependency="postgres")


@maintenance_refusals()
def take_places(server: DatabaseServer, names: Sequence[str]) -> None:
    """Let restored copies replace the databases of these names; one that did so already is passed over.

    Raises:
        Unavailable: PostgreSQL failed.
    """
    with maintenance_connection(server, "postgres") as admin:
        for name in names:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_fresh(name),)).fetchone():
                _take_place(admin, name)


@maintenance_refusals()
def discard(server: DatabaseServer, names: Sequence[str]) -> None:
    """Take away the restored copies of these databases, as far as they are there.

    Raises:
        Unavailable: PostgreSQL failed.
    """
    if not names:
        return
    with maintenance_connection(server, "postgres") as admin:
        for name in names:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_fresh(name))))


def _take_place(admin: Connection, name: str) -> None:
    fresh, old = sql.Identifier(_fresh(name)), sql.Identifier(name)
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(old))
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(fresh, old))


def _fresh(name: str) -> str:
    return f"{name}_restoring"
