"""What a part of the stack is, whatever runs it: processes on this machine, containers, a cluster."""

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pavo.errors import ConfigurationError


class ReadinessCheck(StrEnum):
    """How one sees that a part is ready."""

    POSTGRES_LOGIN = "postgres_login"
    """A login with the part's own password succeeds."""
    REDIS_PING = "redis_ping"
    """PING is answered."""
    TEMPORAL_HEALTH = "temporal_health"
    """The frontend's health check says SERVING, and the namespace exists."""
    HTTP = "http"
    """It answers HTTP."""
    ANNOUNCED = "announced"
    """The process wrote READY (see `kit.ready`)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of process of the stack."""

    name: str
    needs: tuple[str, ...]
    """Parts that must be ready before this one is started."""
    readiness: ReadinessCheck
    drain_seconds: float
    """For a clean end after `stop_signal`; then it is killed."""
    replicated: bool = False
    """Whether several may run side by side: `worker-1`, `worker-2`, …; `api`, `api-2`, …"""
    stop_signal: int = signal.SIGTERM
    """What asks it to end cleanly."""
    reads: tuple[str, ...] = ()
    """Environment variables that it takes its connections from."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part as a start would make it: one line of the plan that people are shown."""

    name: str
    version: str
    address: str
    data: str


STORE_VARIABLES = ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE")

PAVOS_OWN = ("api", "worker", "gateway")
"""The kinds of parts that are processes of Pavo's, and read settings."""

PARTS = {
    part.name: part
    for part in (
        Part("postgres", (), ReadinessCheck.POSTGRES_LOGIN, 60.0, stop_signal=signal.SIGINT),  # its fast shutdown
        Part("redis", (), ReadinessCheck.REDIS_PING, 5.0),
        Part("temporal", ("postgres",), ReadinessCheck.TEMPORAL_HEALTH, 5.0),
        Part("temporal-ui", ("temporal",), ReadinessCheck.HTTP, 5.0),
        Part(
            "api",
            ("postgres", "redis", "temporal"),
            ReadinessCheck.ANNOUNCED,
            8.0,
            replicated=True,
            reads=STORE_VARIABLES,
        ),
        Part(
            "worker",
            ("postgres", "redis", "temporal"),
            ReadinessCheck.ANNOUNCED,
            15.0,
            replicated=True,
            reads=STORE_VARIABLES,
        ),
        Part(
            "gateway",
            ("postgres", "redis", "temporal"),
            ReadinessCheck.ANNOUNCED,
            8.0,
            replicated=True,
            reads=STORE_VARIABLES,
        ),
    )
}
"""Every part by name, in the order in which people read them."""


def kind_of(name: str) -> Part:
    """The part behind a process's name: `worker-2` is a `worker`.

    Raises:
        ConfigurationError: there is no such part.
    """
    kind = name.rpartition("-")[0] if name.rpartition("-")[2].isdigit() else name
    if kind not in PARTS:
        raise ConfigurationError(
            f"There is no part {name!r}.", field="part", remedy=f"The parts are {', '.join(PARTS)}."
        )
    return PARTS[kind]


def names_of(kinds: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    """The processes' names of a selection of parts, in reading order; `counts` of those that are replicated."""
    wanted = {kind_of(kind).name for kind in kinds}
    names: list[str] = []
    for part in PARTS.values():
        if part.name in wanted:
            names += [_numbered(part, number) for number in range(1, counts.get(part.name, 1) + 1)]
    return names


def connections(pool: int, *, apis: int, workers: int, gateways: int = 1) -> int:
    """How many connections to Pavo's database the processes may open, each with pools of this size.

    An API has one pool, a gateway too, a worker one for each of its two event loops (`bootstrap`); nothing connects
    beside them.
    """
    return pool * (apis + 2 * workers + gateways)


def _numbered(part: Part, number: int) -> str:
    """The first API is just `api`, as it mostly is the only one, and so is the first gateway; workers are counted from
    the first."""
    only = part.name != "worker" and number == 1
    return part.name if not part.replicated or only else f"{part.name}-{number}"
