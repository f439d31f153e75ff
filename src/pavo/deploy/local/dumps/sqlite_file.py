"""The SQLite file in which Temporal's development server keeps the embedded target's workflows: copied and put back."""

import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from pavo.errors import Unavailable

BUSY_SECONDS = 10.0


@contextmanager
def held(file: Path) -> Generator[sqlite3.Connection]:
    """A connection that holds the file against writers; they wait.

    Raises:
        Unavailable: another writer does not let go.
    """
    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{file} is busy: {error}.", dependency="temporal") from error
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def copy(source: Path, copied: Path) -> None:
    """Copy the file while it is held."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reader, closing(sqlite3.connect(copied)) as to:
        reader.backup(to)
        to.execute("PRAGMA journal_mode = delete")  # one file, whole in itself
    copied.chmod(0o600)


def count(file: Path) -> dict[str, int]:
    """Rows of every table of a file that is whole.

    Raises:
        Unavailable: it is not.
    """
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise Unavailable(f"{file} is damaged.", dependency="temporal")
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def put_beside(copied: Path, file: Path) -> None:
    """Lay a whole copy beside the file of a server that does not run."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    draft = _draft(file)
    shutil.copyfile(copied, draft)
    draft.chmod(0o600)
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())


def take_place(file: Path) -> None:
    """Let the copy beside the file replace it; without a copy, change nothing."""
    draft = _draft(file)
    if not draft.exists():
        return
    for rest in ("-wal", "-shm"):  # they belong to what is replaced
        file.with_name(file.name + rest).unlink(missing_ok=True)
    draft.replace(file)


def discard(file: Path) -> None:
    """Take away what was put beside the file."""
    _draft(file).unlink(missing_ok=True)


def _draft(file: Path) -> Path:
    return file.with_name(".restoring.db")
