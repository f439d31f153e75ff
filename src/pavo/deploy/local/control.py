"""What commands do to a running stack of this machine: the supervisor sees a part end, and brings it back."""

import asyncio
import contextlib
import signal
from pathlib import Path

from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.state import PartState, StackState, running
from pavo.errors import InvalidInput, Unavailable
from pavo.kit.processes import ProcessIdentity

BACK_SECONDS = 90.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.05
DEATHS = 4
"""A part that ended so often before it was ready will not get ready."""


def must_run(data_dir: Path) -> StackState:
    """The state of the stack that runs here.

    Raises:
        Unavailable: none does.
    """
    state = running(data_dir)
    if state is None:
        raise Unavailable(f"No stack runs on {data_dir}. Start it: pavo deploy start", dependency="stack")
    return state


async def stop(data_dir: Path) -> bool:
    """Drain and end the stack that runs here; answers whether one did.

    Raises:
        Unavailable: it did not end in time and was killed.
    """
    state = running(data_dir)
    if state is None:
        return False
    supervisor = state.supervisor
    supervisor.signal(signal.SIGTERM)
    if not await supervisor.wait_gone(STOP_SECONDS):
        supervisor.signal(signal.SIGKILL)
        raise Unavailable("The stack did not end in time and was killed.", dependency="stack")
    return True


def parts_named(state: StackState, name: str) -> list[PartState]:
    """All parts of a kind, or one by its name: `api` means every API, `api-1` the first, which is just called `api`.

    Raises:
        InvalidInput: the stack has none of that name.
    """
    found = [part for part in state.parts if kind_of(part.name).name == name] or [
        part for part in state.parts if part.name in (name, name.removesuffix("-1"))
    ]
    if not found:
        known = ", ".join(part.name for part in state.parts)
        raise InvalidInput(f"This stack has no part {name!r}.", field="PART", remedy=f"Its parts are {known}.")
    return found


def has_part(data_dir: Path, kind: str) -> bool:
    """Whether the stack that runs here has parts of a kind: one of an older supervisor has no gateway.

    Raises:
        Unavailable: no stack runs here.
    """
    return any(kind_of(part.name).name == kind for part in must_run(data_dir).parts)


async def restart(data_dir: Path, name: str) -> list[str]:
    """End a part cleanly and wait until its successor is ready; several of a kind one after the other.

    A part that does not end within its drain time is killed. Answers the names.

    Raises:
        Unavailable: no stack runs here, or the part did not come back.
    """
    parts = parts_named(must_run(data_dir), name)
    for part in parts:
        await _restart(data_dir, part)
    return [part.name for part in parts]


async def _restart(data_dir: Path, part: PartState) -> None:
    kind = kind_of(part.name)
    if kind.name == "postgres":
        await asyncio.to_thread(_checkpoint, must_run(data_dir))
    if part.pid is not None and part.started is not None:
        old = ProcessIdentity(part.pid, part.started)
        old.signal(kind.stop_signal)
        if not await old.wait_gone(kind.drain_seconds):
            old.signal(signal.SIGKILL)
    await until_back(data_dir, part)


def _checkpoint(state: StackState) -> None:
    """Have PostgreSQL write its changed pages while others still work: less is left for the shutdown, during which
    nobody can."""
    import psycopg

    with (
        contextlib.suppress(psycopg.Error),  # without the right to it the shutdown takes longer
        psycopg.connect(state.environment["DATABASE_URL"], autocommit=True, connect_timeout=5) as connection,
    ):
        connection.execute("CHECKPOINT")


async def until_back(data_dir: Path, before: PartState) -> None:
    """Wait until a part is ready with another process than before.

    Raises:
        Unavailable: it did not come back, or the whole stack ended.
    """
    deadline = asyncio.get_running_loop().time() + BACK_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        state = must_run(data_dir)
        now = next((part for part in state.parts if part.name == before.name), before)
        if now.state == "ready" and (now.pid, now.started) != (before.pid, before.started):
            return
        if now.restarts - before.restarts > DEATHS:
            raise Unavailable(f"{before.name} dies again and again; its log is {before.log}.", dependency=before.name)
        await asyncio.sleep(POLL_SECONDS)
    raise Unavailable(
        f"{before.name} did not come back within {BACK_SECONDS:.0f} s; its log is {before.log}.", dependency=before.name
    )
