"""Which versions go together: the matrix as data, and what it says of a combination."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydantic import BaseModel

from pavo.errors import ConfigurationError


class VersionVerdict(StrEnum):
    """What is known of a version or a pair."""

    GOOD = "good"
    """Known to work."""
    UNKNOWN = "unknown"
    """Not tried, or not recorded: a start warns and goes on."""
    BAD = "bad"
    """Known not to work, or out of support: a start stops."""


class TemporalRow(BaseModel):
    """A server's tag and what belongs to it, until the next row."""

    tag: str
    schema_version: str
    visibility_schema: str
    status: VersionVerdict
    why: str = ""


class PostgresRow(BaseModel):
    """A major version."""

    major: int
    status: VersionVerdict
    why: str = ""


class SdkRow(BaseModel):
    """A minor of the Python SDK."""

    minor: str
    status: VersionVerdict


class PavoRow(BaseModel):
    """A revision of Pavo's own schema, and the version that brings it."""

    revision: str
    pavo: str


class Tested(BaseModel):
    """A combination that this project's tests ran."""

    temporal: str
    postgres: int
    python_sdk: str
    when: str
    by: str


class Pins(BaseModel):
    """What a start without options takes."""

    temporal: str
    temporal_ui: str
    python_sdk: str
    postgres: str


class Matrix(BaseModel):
    """The whole matrix, with the sources of its rows."""

    pins: Pins
    path: dict[str, str]
    """The patch through which an upgrade passes each minor."""
    temporal: list[TemporalRow]
    temporal_sources: dict[str, str]
    postgres: list[PostgresRow]
    postgres_sources: dict[str, str]
    python_sdk: list[SdkRow]
    python_sdk_sources: dict[str, str]
    pavo_schema: list[PavoRow]
    tested: list[Tested]


@cache
def matrix() -> Matrix:
    """The shipped matrix."""
    raw = tomllib.loads((files("pavo.deploy.model") / "compatibility.toml").read_text())
    for row in raw["temporal"]:
        row["schema_version"] = row.pop("schema")
    return Matrix.model_validate(raw)


def parse(version: str, field: str = "--temporal-version") -> tuple[int, ...]:
    """A version's numbers: `1.32.1` is (1, 32, 1), `15.19 (Debian …)` is (15, 19).

    Raises:
        ConfigurationError: it is no version.
    """
    words = version.strip().removeprefix("v").split()
    try:
        return tuple(int(number) for number in words[0].split("-")[0].split("."))
    except (ValueError, IndexError):
        raise ConfigurationError(
            f"{version!r} is not a version.", field=field, remedy="Write it as 1.32.1; pavo deploy versions shows some."
        ) from None


def temporal_row(version: str) -> TemporalRow | None:
    """The row that holds for a server's version: the newest tag of its minor that is not newer than it."""
    wanted = parse(version)
    found = [row for row in matrix().temporal if parse(row.tag)[:2] == wanted[:2] and parse(row.tag) <= wanted]
    return max(found, key=lambda row: parse(row.tag), default=None)


def rows_within_reach(version: str) -> list[TemporalRow]:
    """The rows that one step of an upgrade leads through from this version: of its own minor, and of the next one."""
    own, rows = parse(version)[:2], matrix().temporal
    minors = sorted({parse(row.tag)[:2] for row in rows})
    reached = {own, *[minor for minor in minors if minor > own][:1]}
    return [row for row in rows if parse(row.tag)[:2] in reached]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the matrix says, for people."""

    verdict: VersionVerdict
    what: str
    remedy: str = ""


def assess(*, temporal: str | None = None, postgres: str | None = None, sdk: str | None = None) -> list[Assessment]:
    """What is known of these versions and of their combination; what is None is not looked at."""
    found: list[Assessment] = []
    if temporal is not None:
        found.append(_of_temporal(temporal))
    if postgres is not None:
        found.append(_of_postgres(parse(postgres, "--postgres-version")[0]))
    if sdk is not None:
        found.append(_of_sdk(sdk))
    if temporal is not None and postgres is not None and not any(each.verdict is VersionVerdict.BAD for each in found):
        found.append(_of_pair(temporal, parse(postgres, "--postgres-version")[0]))
    return found


def _of_temporal(version: str) -> Assessment:
    row, pin = temporal_row(version), matrix().pins.temporal
    if row is None:
        newest = max(parse(each.tag) for each in matrix().temporal)
        if parse(version) > newest:
            return Assessment(VersionVerdict.UNKNOWN, f"Temporal {version} is newer than this Pavo knows.")
        return Assessment(VersionVerdict.BAD, f"Temporal {version} is too old.", f"Take --temporal-version {pin}.")
    remedy = f"Take --temporal-version {pin}." if row.status is VersionVerdict.BAD else ""
    return Assessment(row.status, f"Temporal {version}: {row.why or 'known good'}", remedy)


def _of_postgres(major: int) -> Assessment:
    row = next((row for row in matrix().postgres if row.major == major), None)
    remedy = "Move to PostgreSQL 15 or later."
    if row is None:
        newest = max(row.major for row in matrix().postgres)
        if major > newest:
            return Assessment(VersionVerdict.UNKNOWN, f"PostgreSQL {major} is newer than this Pavo knows.")
        return Assessment(
            VersionVerdict.BAD, f"PostgreSQL {major} is out of support.", "Move to PostgreSQL 15 or later."
        )
    remedy = "Move to PostgreSQL 15 or later." if row.status is VersionVerdict.BAD else ""
    return Assessment(row.status, f"PostgreSQL {major}: {row.why or 'known good'}", remedy)


def _of_sdk(version: str) -> Assessment:
    minor = ".".join(version.split(".")[:2])
    known = any(row.minor == minor and row.status is VersionVerdict.GOOD for row in matrix().python_sdk)
    if known:
        return Assessment(VersionVerdict.GOOD, f"Python SDK {version}: known good")
    return Assessment(VersionVerdict.UNKNOWN, f"Python SDK {version} was not run with this Pavo.")


def _of_pair(temporal: str, major: int) -> Assessment:
    for row in matrix().tested:
        if row.temporal == temporal and row.postgres == major:
            return Assessment(VersionVerdict.GOOD, f"Temporal {temporal} on PostgreSQL {major}: tested {row.when}")
    return Assessment(VersionVerdict.UNKNOWN, f"Temporal {temporal} on PostgreSQL {major}: documented, not tested here")


def refuse_bad(assessments: list[Assessment], *, forced: bool) -> list[str]:
    """Stop at what is known bad; answers what was forced, for the state.

    Raises:
        ConfigurationError: something is known bad and nobody forces it.
    """
    bad = [each for each in assessments if each.verdict is VersionVerdict.BAD]
    if bad and not forced:
        raise ConfigurationError(
            " ".join(each.what for each in bad),
            field="--temporal-version" if bad[0].what.startswith("Temporal") else "--postgres-version",
            remedy=f"{bad[0].remedy} Or go on nevertheless with --force-version.",
        )
    return [each.what for each in bad]


def minors_between(old: str, new: str) -> list[str]:
    """The minors to pass one by one when a server goes from `old` to `new`: `1.30.7` to `1.32.1` is [1.31, 1.32].

    Raises:
        ConfigurationError: `new` is older: a server cannot go back.
    """
    low, high = parse(old), parse(new)
    if high[:2] < low[:2]:
        raise ConfigurationError(
            f"Temporal {old} cannot go back to {new}: its schema was raised.",
            field="--temporal-version",
            remedy="Restore the backup that was taken before the upgrade: pavo deploy restore.",
        )
    return [f"{low[0]}.{minor}" for minor in range(low[1] + 1, high[1] + 1)]
