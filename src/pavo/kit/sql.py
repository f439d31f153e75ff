"""The SQL base: the declarative model, the engine, and transactions whose driver errors are translated once."""

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from sqlalchemy import MetaData, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from pavo.errors import ConfigurationError, DiskFull, Unavailable
from pavo.kit.json_values import decode, encode_text

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


SILENCE_SECONDS = 9.0
"""Longer than PostgreSQL's own statement_timeout, so that a server that is only slow still reports that itself."""


class Base(DeclarativeBase):
    """The declarative base of every table of Pavo."""

    metadata = MetaData(naming_convention=NAMING)


def driver_url(url: str) -> str:
    """Accept the usual spellings of a PostgreSQL URL and name the driver that Pavo uses.

    Raises:
        ConfigurationError: it is no PostgreSQL URL.
    """
    for prefix in ("postgresql+psycopg://", "postgresql+asyncpg://", "postgresql://", "postgres://"):
        if url.startswith(prefix):
            with contextlib.suppress(ArgumentError, ValueError):
                found = "postgresql+psycopg://" + url.removeprefix(prefix)
                make_url(found)
                return found
    raise ConfigurationError(
        "This is no URL of a PostgreSQL database.",  # it may hold a password, so it is not repeated
        field="DATABASE_URL",
        remedy="Write it as postgresql://user:password@host:5432/database; % / @ in a password as %25 %2F %40.",
    )


class _Connection(psycopg.AsyncConnection[Any]):
    """Gives up on a server that sends nothing, not even the error that a statement took too long.

    A peer that vanished without a word (a firewall that forgot the connection, a frozen proxy that still acknowledges)
    is noticed by no server-side limit and, behind a proxy, by no TCP option either.
    """

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return await super().wait(gen, interval, timeout or SILENCE_SECONDS)
        except psycopg.errors._WaitTimeout as silence:  # pyright: ignore[reportPrivateUsage]
            self.pgconn.finish()
            raise psycopg.OperationalError(f"PostgreSQL was silent for {SILENCE_SECONDS} s") from silence

    # SQLAlchemy sets these two when it has taken a connection out of its pool and nobody holds it yet. psycopg only
    # looks and remembers, but takes a turn of a busy event loop for it, and whoever was cancelled in that turn left the
    # connection to the garbage collector: sixty viewers that left at once emptied the pool for minutes.

    async def set_autocommit(self, value: bool) -> None:
        _at_once(self._set_autocommit_gen(value))

    async def set_isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        _at_once(self._set_isolation_level_gen(value))


def _at_once(steps: Generator[Any, Any, None]) -> None:
    for _ in steps:
        raise psycopg.InternalError("psycopg waits for the server to set what it should only remember")


async def time_of(session: AsyncSession) -> datetime:
    """The time that everything of Pavo goes by: PostgreSQL's."""
    return (await session.scalars(select(func.pavo_now()))).one()


_KEPT_SHARE = 4
"""One connection in four."""
_KEPT_PATIENCE = 30.0
"""Of those who wait for one: there may be many, and each statement takes milliseconds."""
_SPILLS = "SELECT count(*) FROM generate_series(1, 20000)"
"""Takes some 300 KB beyond `work_mem`, which go to a temporary file."""


class Database:
    """One engine and its transactions. Belongs to the event loop that first uses it.

    Args:
        url: a PostgreSQL URL.
        pool_size: connections at most; a caller that finds none free within `pool_timeout` seconds gets Unavailable.
        lock_timeout_ms, statement_timeout_ms: PostgreSQL's own limits for each statement; beyond them Unavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout: float = 5.0,
        lock_timeout_ms: int = 3_000,
        statement_timeout_ms: int = 8_000,
    ) -> None:
        options = f"-c lock_timeout={lock_timeout_ms} -c statement_timeout={statement_timeout_ms}"
        self.engine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            hide_parameters=True,  # errors with what people wrote would reach logs and histories
            json_serializer=encode_text,
            json_deserializer=decode,
            connect_args={
                "async_creator_fn": _Connection.connect,
                "options": options,
                "connect_timeout": 3,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
                "application_name": "pavo",
            },
        )
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._readers = async_sessionmaker(self._autocommit, expire_on_commit=False)
        self.kept = KeptConnections(self, max(1, pool_size // _KEPT_SHARE), patience=_KEPT_PATIENCE)
        """For statements that many callers run all the time, and that may wait for a lock."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """A session whose changes are committed at the end of the block, or none of them.

        Raises:
            Unavailable: PostgreSQL is away, full, locked or overloaded.
        """
        with translated():
            async with self._sessions() as session, session.begin():
                yield session

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """A session for reads: each statement by itself, no transaction to open and close."""
        with translated():
            async with self._readers() as session:
                yield session

    @asynccontextmanager
    async def autocommit(self) -> AsyncGenerator[AsyncConnection]:
        """A bare connection on which each statement is its own transaction."""
        with translated():
            async with self._autocommit.connect() as connection:
                yield connection

    async def check_space(self) -> None:
        """See whether PostgreSQL can write on its disk, by a file that it removes at once.

        Raises:
            DiskFull: it cannot.
            Unavailable: PostgreSQL is away.
        """
        async with self.transaction() as session:
            await session.execute(text("SET LOCAL work_mem = 64"))
            await session.execute(text(_SPILLS))

    async def connect_autocommit(self) -> AsyncConnection:
        """As `autocommit`, for a caller who keeps the connection and closes it."""
        return await self._autocommit.connect()

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.kept.close()
        await self.engine.dispose()


class KeptConnection:
    """One pooled connection, kept while it works, for a statement that is run all the time.

    It goes past SQLAlchemy's execution, which costs the client more than the statement costs the server. Each statement
    is its own transaction. Belongs to one event loop and one caller at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: AsyncConnection | None = None
        self._driver: psycopg.AsyncConnection[Any] | None = None

    async def rows(self, statement: LiteralString, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement with psycopg's named placeholders and answer its rows.

        Raises:
            Unavailable: PostgreSQL is away, full, locked or overloaded.
            psycopg.Error: it refuses the statement or a value.
        """
        with translated():
            try:
                driver = self._driver or await self._open()
                cursor = await driver.execute(statement, values, prepare=True)
                return await cursor.fetchall()
            except BaseException as error:
                # After a refused value the connection is as good as before; after anything else nobody knows.
                if not isinstance(error, psycopg.DataError):
                    await self.close()
                raise

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        self._held = await self._database.connect_autocommit()
        pooled = await self._held.get_raw_connection()
        driver: psycopg.AsyncConnection[Any] | None = pooled.driver_connection
        assert driver is not None
        self._driver = driver
        return driver

    async def close(self) -> None:
        """Give the connection up; the next statement takes another."""
        held, self._held, self._driver = self._held, None, None
        if held is not None:
            await held.invalidate()
            await held.close()


class KeptConnections:
    """A few kept connections, for statements that many callers run at once. Belongs to one event loop.

    Args:
        count: connections at most; they are taken from the pool when they are first needed, and stay out of it.
        patience: seconds that a caller waits for one of them.
    """

    def __init__(self, database: Database, count: int, *, patience: float = 5.0) -> None:
        self._all = [KeptConnection(database) for _ in range(count)]
        self._idle = list(self._all)
        self._waiting: deque[asyncio.Future[KeptConnection]] = deque()
        self._patience = patience

    async def rows(self, statement: LiteralString, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement on the connection that was used last; as `KeptConnection.rows`.

        Raises:
            Unavailable: PostgreSQL is away, full, locked or overloaded, or all connections stay in use.
            psycopg.Error: it refuses the statement or a value.
        """
        connection = self._idle.pop() if self._idle else await self._next()
        try:
            return await connection.rows(statement, values)
        except Unavailable:
            for other in self._idle:  # most likely they are as dead as this one
                await other.close()
            raise
        finally:
            self._return(connection)

    async def _next(self) -> KeptConnection:
        turn: asyncio.Future[KeptConnection] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                return await turn
        except TimeoutError as error:
            if turn.done() and not turn.cancelled():  # its turn came in the very moment
                return turn.result()
            raise Unavailable("All database connections are in use.", dependency="postgres") from error
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._return(turn.result())
            raise

    def _return(self, connection: KeptConnection) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)

    async def close(self) -> None:
        """Give all connections up."""
        for connection in self._all:
            await connection.close()


_AWAY_STATES = ("08", "53", "57", "55P03", "40001", "40P01", "58", "XX")
"""SQLSTATE classes that mean "later": connection, resources (disk, connections), operator intervention (shutdown,
cancelled by time-out), lock not available, serialisation and deadlock, system error."""


_DISK_FULL = psycopg.errors.DiskFull.sqlstate
_NO_SPACE = "No space left on device"
"""What a connection breaks off with where PostgreSQL itself could not go on."""


@contextmanager
def translated() -> Generator[None, None, None]:
    """Turn a driver's error into `Unavailable` where repeating may help; others pass."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("All database connections are in use.", dependency="postgres") from error
    except DBAPIError as error:
        if is_full(error.orig):
            raise disk_full() from error
        if is_away(error):
            raise Unavailable("PostgreSQL does not answer as it should.", dependency="postgres") from error
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError) as error:
        if is_full(error):
            raise disk_full() from error
        raise Unavailable("PostgreSQL cannot be reached.", dependency="postgres") from error


def is_full(error: BaseException | None) -> bool:
    """Whether PostgreSQL, or this machine, has no space left on a disk."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    return isinstance(error, psycopg.Error) and (error.sqlstate == _DISK_FULL or _NO_SPACE in str(error))


def disk_full() -> DiskFull:
    """What a full disk is told as."""
    return DiskFull(
        "The disk of PostgreSQL is full: nothing can be written.",
        dependency="disk",
        retry_after=30,
        remedy="Make space on the disk that holds PostgreSQL's data; nothing that was recorded is lost.",
    )


def is_away(error: DBAPIError) -> bool:
    """Whether this database error is about the server's state and not about the statement."""
    state: Any = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return str(state).startswith(_AWAY_STATES)
