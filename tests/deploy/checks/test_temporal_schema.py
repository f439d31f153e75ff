"""Temporal's schemas, of its default database and of its visibility, beside what its server asks for."""

from collections.abc import Iterator

import psycopg
import pytest

from pavo.deploy.checks.connectivity import TemporalReached
from pavo.deploy.checks.temporal_schema import NAMES, check_temporal_schemas, judge
from pavo.deploy.model.findings import Finding, Status
from tests.parts import Stores, drop_database, new_database

REACHED = Finding("temporal", "pass")
VISIBILITY = "visibility's schema"


def server(version: str = "1.32.1", persistence: str = "postgres12_pgx", visibility: str = "postgres12_pgx"):
    return TemporalReached(REACHED, None, version, persistence, visibility)


@pytest.fixture
def urls(stores: Stores) -> Iterator[tuple[str, str]]:
    """Two empty databases, named as Temporal's are."""
    url = new_database(stores)
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}_visibility"')
    visibility = url.replace(name, f"{name}_visibility")
    yield url, visibility
    drop_database(stores, visibility)
    drop_database(stores, url)


def set_version(url: str, version: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS schema_version")
        connection.execute("CREATE TABLE schema_version AS SELECT %s::text AS curr_version", (version,))


async def check(url: str | None, reached: TemporalReached) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check_temporal_schemas(url, reached)}


async def test_there_may_be_nothing_to_look_at() -> None:
    assert "SQLite" in (await check(None, server(persistence="sqlite")))[NAMES["temporal"]].detail
    assert (await check(None, server()))[NAMES["temporal"]].status == "skip"
    assert (await check("postgresql://x/y", server(version="")))[NAMES["temporal"]].status == "skip"


async def test_both_databases_are_looked_at(urls: tuple[str, str]) -> None:
    url, visibility = urls
    missing = await check(url, server())
    assert missing["temporal's schema"].status == "fail" and "schema_version" in missing["temporal's schema"].detail
    set_version(url, "1.19")
    unreadable = (await check(url, server()))[VISIBILITY]
    assert unreadable.status == "fail" and "_visibility" in (unreadable.remedy or "")
    set_version(visibility, "1.13")
    behind = await check(url, server())
    assert {name: each.status for name, each in behind.items()} == {"temporal's schema": "pass", VISIBILITY: "fail"}
    assert behind[VISIBILITY].detail == "1.13, but Temporal 1.32.1 asks for 1.14."
    set_version(visibility, "1.14")
    assert {each.status for each in (await check(url, server())).values()} == {"pass"}


async def test_a_visibility_that_is_elsewhere_is_skipped(urls: tuple[str, str], stores: Stores) -> None:
    url, visibility = urls
    set_version(url, "1.19")
    found = (await check(url, server(visibility="elasticsearch")))[VISIBILITY]
    assert found.status == "skip" and "elasticsearch" in found.detail
    drop_database(stores, visibility)
    found = (await check(url, server()))[VISIBILITY]
    assert found.status == "skip" and "there is no database" in found.detail


@pytest.mark.parametrize(
    ("database", "found", "version", "status"),
    [
        ("temporal", "1.9", "1.32.1", "fail"),
        ("temporal", "1.19", "1.32.1", "pass"),
        ("temporal", "1.20", "1.32.1", "fail"),
        ("temporal", "1.19", "1.30.7", "pass"),  # raised for 1.31
        ("temporal", "1.19", "1.29.1", "fail"),
        ("temporal_visibility", "1.14", "1.30.7", "pass"),
        ("temporal_visibility", "1.12", "1.30.7", "fail"),
        ("temporal", "1.19", "99.0.0", "warn"),
    ],
)
def test_how_far_a_schema_may_be_ahead(database: str, found: str, version: str, status: Status) -> None:
    judged = judge(database, found, version)
    assert (judged.name, judged.status) == (NAMES[database], status)
    assert bool(judged.remedy) == (status == "fail")
