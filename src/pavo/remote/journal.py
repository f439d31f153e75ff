"""What an agent must not forget: commands and their results, attempts, who this machine is.

A file of SQLite in the state directory. Each method is one transaction and on the disk when it returns; call them on a
thread where the disk may be slow.
"""

import sqlite3
import threading
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pavo.errors import ConfigurationError
from pavo.protocol import fleet_pb2 as pb

FILE: Final = "journal.db"
REMEMBERED: Final = 20_000
"""Commands that are over and whose ids are known still, so that none is carried out twice however late it comes."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    job_id TEXT NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'held', PRIMARY KEY (job_id, epoch)
);
CREATE TABLE IF NOT EXISTS commands (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    body BLOB, kept BLOB, result BLOB, acked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS open_commands ON commands (acked, number);
CREATE INDEX IF NOT EXISTS commands_of_attempts ON commands (job_id, epoch);
"""


class State(Enum):
    """Of an attempt."""

    HELD = "held"
    LOST = "lost"
    """It does not hold its job any more; what it did is kept."""
    CLEANED = "cleaned"


class Standing(Enum):
    """What is known of a command when it comes."""

    NEW = "new"
    ACCEPTED = "accepted"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a job, by its names."""

    job_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A command that was accepted and has no result."""

    command: pb.Command
    kept: bytes | None
    """What its work has put by (`Journal.keep`)."""


class Journal:
    """Safe for several threads of one process.

    Args:
        folder: the state directory, which is there.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(folder / FILE, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
            self.machine_id = self._fact("machine_id", str(uuid.uuid4()))
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"The journal {folder / FILE} cannot be used: {error}.",
                field="--state",
                remedy="Have this user write that folder; where the file is damaged, choose another folder.",
            ) from error

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    def accept(self, command: pb.Command) -> Standing:
        """Note a command. Only `NEW` says that it is to be carried out, and says it once."""
        values = (command.id, command.job_id, command.epoch, command.SerializeToString())
        insert = "INSERT INTO commands (id, job_id, epoch, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        with self._lock, self._transaction() as cursor:
            cursor.execute(insert, values)
            new = cursor.rowcount == 1
            cursor.execute("SELECT result IS NOT NULL OR acked FROM commands WHERE id = ?", (command.id,))
            (done,) = cursor.fetchone()
            if new:
                hold = "INSERT INTO attempts (job_id, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING"
                cursor.execute(hold, (command.job_id, command.epoch))
        return Standing.NEW if new else Standing.DONE if done else Standing.ACCEPTED

    def keep(self, command_id: str, what: bytes) -> None:
        """Put by what the work of a command has come to, for another life of the agent to go on from."""
        with self._lock, self._transaction() as cursor:
            cursor.execute("UPDATE commands SET kept = ? WHERE id = ? AND result IS NULL", (what, command_id))

    def finish(self, result: pb.Result) -> None:
        """Note a result; the first one of a command stays."""
        with self._lock, self._transaction() as cursor:
            cursor.execute(
                "UPDATE commands SET result = ?, kept = NULL WHERE id = ? AND result IS NULL AND NOT acked",
                (result.SerializeToString(), result.command_id),
            )

    def result_of(self, command_id: str) -> pb.Result | None:
        """None: there is none, or it is not kept any more."""
        row = self._one("SELECT result FROM commands WHERE id = ?", (command_id,))
        return None if row is None or row[0] is None else pb.Result.FromString(row[0])

    def acknowledge(self, command_id: str) -> None:
        """The gateway has the result. Its content is kept until the attempt is forgotten, its id longer."""
        with self._lock, self._transaction() as cursor:
            cursor.execute("UPDATE commands SET acked = 1 WHERE id = ? AND result IS NOT NULL", (command_id,))

    def unacknowledged(self) -> Sequence[pb.Result]:
        """Results that the gateway has not said to have, in the order of their commands."""
        rows = self._all("SELECT result FROM commands WHERE NOT acked AND result IS NOT NULL ORDER BY number")
        return [pb.Result.FromString(row[0]) for row in rows]

    def unfinished(self) -> Sequence[Unfinished]:
        """Commands without a result, in the order in which they came."""
        rows = self._all("SELECT body, kept FROM commands WHERE NOT acked AND result IS NULL ORDER BY number")
        return [Unfinished(pb.Command.FromString(body), kept) for body, kept in rows]

    def mark(self, attempt: Attempt, state: State) -> None:
        """Note what has become of an attempt; one that is cleaned up stays that."""
        with self._lock, self._transaction() as cursor:
            cursor.execute(
                "UPDATE attempts SET state = ? WHERE job_id = ? AND epoch = ? AND state <> ?",
                (state.value, attempt.job_id, attempt.epoch, State.CLEANED.value),
            )

    def attempts(self) -> Sequence[tuple[Attempt, State]]:
        """Those that are known."""
        rows = self._all("SELECT job_id, epoch, state FROM attempts ORDER BY job_id, epoch")
        return [(Attempt(job_id, epoch), State(state)) for job_id, epoch, state in rows]

    def count_of(self, attempt: Attempt) -> int:
        """How many commands of an attempt have come."""
        row = self._one("SELECT count(*) FROM commands WHERE job_id = ? AND epoch = ?", (attempt.job_id, attempt.epoch))
        return int(row[0]) if row else 0

    def open_of(self, attempt: Attempt) -> Sequence[str]:
        """Ids of an attempt's commands whose results are not acknowledged."""
        rows = self._all(
            "SELECT id FROM commands WHERE job_id = ? AND epoch = ? AND NOT acked ORDER BY number",
            (attempt.job_id, attempt.epoch),
        )
        return [row[0] for row in rows]

    def forget(self, attempt: Attempt) -> None:
        """The attempt is over and cleaned up. The ids of its commands stay known for a long time."""
        key = (attempt.job_id, attempt.epoch)
        with self._lock, self._transaction() as cursor:
            cursor.execute("DELETE FROM attempts WHERE job_id = ? AND epoch = ?", key)
            cursor.execute(
                "UPDATE commands SET body = NULL, kept = NULL, result = NULL WHERE job_id = ? AND epoch = ? AND acked",
                key,
            )
            cursor.execute(
                "DELETE FROM commands WHERE acked AND result IS NULL AND number <= "
                "(SELECT coalesce(max(number), 0) FROM commands) - ?",
                (REMEMBERED,),
            )

    def _fact(self, name: str, value: str) -> str:
        """That is noted; this one where none is."""
        with self._lock, self._transaction() as cursor:
            cursor.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value))
            cursor.execute("SELECT value FROM facts WHERE name = ?", (name,))
            return str(cursor.fetchone()[0])

    def _one(self, sql: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._connection.execute(sql, values)) as cursor:
            return cursor.fetchall()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    """Everything between its beginning and its end, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Cursor:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection.cursor()

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if not failed:
                self._connection.execute("COMMIT")
        finally:
            # Where the disk is full, SQLite may have rolled it back by itself, or not.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
