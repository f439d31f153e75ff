"""Settings, versions, disk, clocks, connections: right, and wrong on purpose."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from pydantic import SecretStr
from temporalio.client import Client

from pavo import config
from pavo.config import DatabaseSettings, HttpSettings, Settings, TemporalSettings
from pavo.deploy.checks import environment as e
from pavo.deploy.checks.run import Wanted, check_rollout
from pavo.worker import workflows
from tests.driving import until
from tests.parts import free_port

Usage = namedtuple("Usage", "total used free")


def test_settings_that_are_wrong_are_named(settings: Settings) -> None:
    assert e.check_settings(settings).status == "pass"
    key = TemporalSettings(codec_key=SecretStr("not-a-key"))
    wrong = e.check_settings(settings.model_copy(update={"temporal": key}))
    assert wrong.status == "fail" and "PAVO_TEMPORAL_CODEC_KEY" in wrong.detail and wrong.remedy
    token = TemporalSettings(codec_token=SecretStr("short"))
    assert "PAVO_TEMPORAL_CODEC_TOKEN" in e.check_settings(settings.model_copy(update={"temporal": token})).detail
    open_to_all = settings.model_copy(update={"http": HttpSettings(host="0.0.0.0", auth="dev")})
    assert e.check_settings(open_to_all).status == "fail"


def test_versions_are_judged_by_the_matrix() -> None:
    assert {each.status for each in e.check_versions("1.32.1", "18.6")} <= {"pass", "warn"}
    old = {each.detail: each for each in e.check_versions("1.10.0", "12.4")}
    assert [each.status for each in old.values()].count("fail") == 2
    assert all(each.remedy for each in old.values() if each.status == "fail")
    assert any(each.status == "warn" for each in e.check_versions("9.9.9", "99.1"))


@pytest.mark.parametrize(
    ("offset", "status"), [(0.01, "pass"), (-0.9, "pass"), (2.0, "warn"), (-31.0, "fail"), (None, "skip")]
)
def test_clocks_that_differ(offset: float | None, status: str) -> None:
    found = e.check_clock("PostgreSQL", offset)
    assert found.status == status
    assert bool(found.remedy) == (status in ("warn", "fail"))


async def test_temporals_clock_is_read_and_nothing_is_left(temporal: Client) -> None:
    assert abs(await e.temporal_clock_offset(temporal)) < 5

    async def gone() -> bool:
        return (await temporal.count_workflows("TaskQueue STARTS_WITH 'pavo-clock-'")).count == 0

    await until(gone)


@pytest.mark.parametrize(("free", "status"), [(500_000_000, "fail"), (4_000_000_000, "warn"), (10**12, "pass")])
async def test_a_disk_that_fills_up(
    free: int, status: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(2 * 10**12, 0, free))
    found = await e.check_disk(tmp_path, settings.database.url)
    assert found.status == status and bool(found.remedy) == (status != "pass")


async def test_more_connections_than_postgresql_has(settings: Settings) -> None:
    assert (await e.check_connections(settings, 1, 1)).status == "pass"
    greedy = settings.model_copy(update={"database": DatabaseSettings(url=settings.database.url, pool_size=400)})
    found = await e.check_connections(greedy, 1, 2)
    assert found.status == "warn" and "2410 of" in found.detail and "PAVO_DATABASE_POOL" in (found.remedy or "")


async def test_what_cannot_be_reached_is_a_finding(settings: Settings) -> None:
    url, address = f"postgresql://a:b@127.0.0.1:{free_port()}/x", f"127.0.0.1:{free_port()}"
    away = settings.model_copy(
        update={"database": DatabaseSettings(url=url), "temporal": TemporalSettings(address=address)}
    )
    checked = await check_rollout(away, Wanted(workflows()))
    failed = {finding.name for finding in checked.findings if finding.status == "fail"}
    assert failed == {"postgres", "temporal"} and not checked.ok and checked.replayed is None
    assert [each.status for each in checked.findings if each.name == "open histories"] == ["skip"]


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("DATABASE_URL", "mysql://user:secret@host/x", "postgres"),
        ("DATABASE_URL", "postgresql://a:secret@host:port/x", "postgres"),
        ("REDIS_URL", "secret", "redis"),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere.pem", "temporal"),
        ("TEMPORAL_CONFIG_FILE", "/etc/passwd", "temporal"),
        ("PAVO_TEMPORAL_CODEC_KEY", "c2hvcnQ=", "temporal"),
    ],
)
async def test_settings_that_are_no_settings_are_findings(
    variable: str, value: str, name: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for known, right in environment.items():
        monkeypatch.setenv(known, right)
    monkeypatch.setenv(variable, value)
    checked = await check_rollout(config.load(), Wanted(workflows()))
    failed = {finding.name: finding for finding in checked.findings if finding.status == "fail"}
    assert name in failed and set(failed) <= {name, "settings"} and failed[name].remedy
    assert "secret" not in str(checked.findings)
