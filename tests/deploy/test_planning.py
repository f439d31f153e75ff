"""What a start would do is shown before it is done, and it is what is done; for the embedded target as for others."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pavo.cli.deploy.start_options import StartOptions
from pavo.deploy.local import native, planning
from pavo.deploy.local.components.database import DatabaseServer, with_password
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.ports import free_port
from pavo.deploy.local.planning import StartPlan, plan_embedded, plan_native, settle, settle_choice
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.orchestrated.choose_target import orchestrated_target
from pavo.errors import ConfigurationError, Conflict, PavoError
from tests.deploy.native.stack import pavo

EMBEDDED = Deployment(target=TargetName.EMBEDDED)


def plan(root: Path, **chosen: object) -> StartPlan:
    wanted = (deployment.load(Layout(root)) or EMBEDDED).model_copy(update=chosen)
    return plan_embedded(Layout(root), wanted, postgres_version=None, force=False)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
        yield listener.getsockname()[1]


def test_every_part_has_its_version_port_and_volume_and_nothing_is_made(tmp_path: Path) -> None:
    root = tmp_path / "data"
    port = free_port()
    found = plan(root, port=port, workers=3)
    parts = {part.name: part for part in found.parts}
    assert list(parts) == ["postgres", "redis", "temporal", "temporal-ui", "api", "worker", "gateway"]
    assert all(part.version[0].isdigit() or part.version.startswith("Valkey 9") for part in found.parts)
    assert parts["temporal"].version.startswith("1.32.") and parts["temporal-ui"].version.startswith("2.")
    assert parts["worker"].version.endswith("× 3 and a spare")
    addresses = [part.address for part in found.parts if part.name != "worker"]
    assert len(set(addresses)) == 6 and all(address.startswith("127.0.0.1:") for address in addresses)
    assert parts["api"].address == f"127.0.0.1:{port}"
    assert parts["temporal"].data == str(root / "temporal" / "temporal.db")
    said = "\n".join(found.changes)
    assert f"the data directory {root} is made" in said and parts["postgres"].data in said and "temporal.db" in said
    assert not root.exists()


def test_ports_are_kept_save_those_that_are_taken(tmp_path: Path, taken: int) -> None:
    first = plan(tmp_path, port=free_port()).chosen
    deployment.save(Layout(tmp_path), first)
    assert plan(tmp_path).chosen.ports == first.ports
    deployment.save(Layout(tmp_path), first.model_copy(update={"ports": {**first.ports, "redis": taken}}))
    again = plan(tmp_path).chosen.ports
    assert again.pop("redis") != taken and again == {k: v for k, v in first.ports.items() if k != "redis"}
    moved = plan(tmp_path, port=taken)
    assert moved.chosen.ports["api"] != taken and any(f"port {taken} is taken" in line for line in moved.changes)


def test_a_plan_that_was_overtaken_is_not_settled(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    early, late = plan(tmp_path), plan(tmp_path, workers=5)
    settle(layout, late)
    with pytest.raises(Conflict, match="changed since"):
        settle(layout, early)
    with take_lock(layout), pytest.raises(Conflict, match="runs on"):
        settle(layout, plan(tmp_path))
    kept = deployment.load(layout)
    assert kept is not None and kept.workers == 5


@pytest.mark.parametrize("target", [TargetName.EMBEDDED, TargetName.NATIVE])
def test_what_is_decided_while_it_is_planned_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: TargetName
) -> None:
    layout, first = Layout(tmp_path), Deployment(target=target)
    deployment.save(layout, first)
    decided = first.model_copy(update={"restoring": ["pavo"]})

    def looked(_of: object) -> str:
        deployment.save(layout, decided)  # as a restore does it meanwhile
        return "18.0"

    monkeypatch.setattr(native, "detected_postgres", looked)
    monkeypatch.setattr(planning, "wheel_version", looked)
    look = plan_embedded if target is TargetName.EMBEDDED else plan_native
    with pytest.raises(Conflict, match="changed since"):
        settle(layout, look(layout, first, postgres_version=None, force=False))
    assert deployment.load(layout) == decided


def test_an_older_supervisor_can_read_what_is_remembered(tmp_path: Path) -> None:
    layout, chosen = Layout(tmp_path), Deployment(target=TargetName.NATIVE)
    deployment.save(layout, chosen)
    assert "restoring" not in json.loads(deployment.path(layout).read_text())
    assert deployment.load(layout) == chosen
    decided = chosen.model_copy(update={"restoring": ["pavo"]})
    deployment.save(layout, decided)
    assert deployment.load(layout) == decided


def test_another_port_of_the_api_is_taken_at_the_next_native_start(tmp_path: Path) -> None:
    layout, ports = Layout(tmp_path), [free_port(), free_port()]
    native = Deployment(target=TargetName.NATIVE, port=ports[0])
    first = plan_native(layout, native, postgres_version=None, force=False).chosen
    deployment.save(layout, first)
    again = plan_native(layout, first.model_copy(update={"port": ports[1]}), postgres_version=None, force=False).chosen
    assert again.ports == {**first.ports, "api": ports[1]}


def test_a_login_may_change_and_is_never_shown(tmp_path: Path) -> None:
    layout, url = Layout(tmp_path), "postgresql://pavo:old-secret@db.example/postgres"
    kept = Deployment(target=TargetName.NATIVE, postgres=url)
    deployment.save(layout, kept)
    renewed = url.replace("old-secret", "new-secret")
    assert settle_choice(layout, kept.model_copy(update={"postgres": renewed})).postgres == renewed
    for other in (renewed.replace("db.", "other."), "wheel"):
        with pytest.raises(Conflict, match=r"db\.example:5432, not") as refusal:
            settle_choice(layout, kept.model_copy(update={"postgres": other}))
        assert "secret" not in str(refusal.value) + str(refusal.value.remedy)


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("postgresql://ada@db/postgres", "postgresql://ada:a%2Fb%40c@db/postgres"),
        ("postgresql://ada:@db:5433/x?sslmode=require", "postgresql://ada:a%2Fb%40c@db:5433/x?sslmode=require"),
        ("postgresql://ada:own@db/postgres", "postgresql://ada:own@db/postgres"),
        ("redis://cache:6379/0", "redis://:a%2Fb%40c@cache:6379/0"),
        ("postgresql://u@h?x=y@z", "postgresql://u:a%2Fb%40c@h?x=y@z"),
        ("redis://[::1]:6379", "redis://:a%2Fb%40c@[::1]:6379"),
        ("wheel", "wheel"),
        ("/usr/lib/postgresql/15", "/usr/lib/postgresql/15"),
    ],
)
def test_a_password_is_put_into_a_url_that_has_none(url: str, full: str) -> None:
    assert with_password(url, "a/b@c") == full
    assert with_password(url, None) == with_password(url, "") == url


@pytest.mark.parametrize(("host", "address"), [("db", "db:5433"), ("[2001:db8::1]", "[2001:db8::1]:5433")])
def test_a_servers_url_is_taken_apart_and_put_together(host: str, address: str) -> None:
    server = DatabaseServer.of(f"postgresql://ada:a%2Fb@{host}:5433/postgres?sslmode=require")
    assert server.address == address and DatabaseServer.of(server.url("pavo")) == server


def test_passwords_come_from_the_variables_of_the_servers_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "one")
    monkeypatch.setenv("REDISCLI_AUTH", "two")
    given = StartOptions(
        target=TargetName.NATIVE, postgres="postgresql://ada@db/postgres", redis="redis://cache:6379/0"
    )
    found = given.over(None)
    assert (found.postgres, found.redis) == ("postgresql://ada:one@db/postgres", "redis://:two@cache:6379/0")
    assert StartOptions(target=TargetName.NATIVE).over(None).postgres == "wheel"


@pytest.mark.parametrize("url", ["postgresql://u@[bad/db", "postgresql://u:se/cret@h/db"])
def test_what_is_no_url_is_said_without_showing_it(url: str) -> None:
    asked = [lambda: with_password(url, "x", "--redis"), lambda: DatabaseServer.of(url)]
    for ask, field in zip(asked, ("--redis", "--postgres"), strict=True):
        with pytest.raises(ConfigurationError, match="not the URL") as refusal:
            ask()
        assert refusal.value.field == field and "in brackets" in (refusal.value.remedy or "")
        assert "cret" not in refusal.value.detail


def test_a_kept_password_stays_with_the_same_server_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PGPASSWORD", "REDISCLI_AUTH"):
        monkeypatch.delenv(variable, raising=False)
    kept = Deployment(
        target=TargetName.NATIVE, redis="redis://:a%2Fb@cache:6379/0", postgres="postgresql://ada:c@db/postgres"
    )

    def redis(url: str) -> str:
        return StartOptions(redis=url).over(kept).redis

    assert redis("redis://cache:6379/0") == kept.redis and redis("redis://cache/0") == "redis://:a%2Fb@cache/0"
    assert redis("redis://:new@cache:6379/0") == "redis://:new@cache:6379/0"
    for other in ("redis://else:6379/0", "redis://cache:6380/0", "redis://eve@cache:6379/0", "wheel"):
        assert redis(other) == other
    assert StartOptions(postgres="postgresql://ada@db:5432/x").over(kept).postgres == "postgresql://ada:c@db:5432/x"
    monkeypatch.setenv("REDISCLI_AUTH", "two")
    assert redis("redis://cache:6379/0") == "redis://:two@cache:6379/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "h:6379"),
        ("redis://:se@cret@h:6379/0", "h:6379"),
        ("redis://h:6379/0?password=se@cret", "h:6379"),
        ("rediss://h", "h"),
        ("redis://u:p@[::1]:6379", "[::1]:6379"),
    ],
)
def test_of_a_url_only_the_server_is_planned(tmp_path: Path, url: str, shown: str) -> None:
    native = Deployment(target=TargetName.NATIVE, redis=url, port=free_port())
    found = plan_native(Layout(tmp_path), native, postgres_version=None, force=False)
    assert [part.address for part in found.parts if part.name == "redis"] == [shown]


@pytest.mark.parametrize(
    ("option", "value"),
    [("apis", 2), ("postgres", "machine"), ("redis", "redis://x"), ("temporal_version", "1.30.7"), ("shards", 4)],
)
def test_what_the_embedded_target_does_not_have_is_refused(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        plan(tmp_path / "data", **{option: value})
    assert refusal.value.field == f"--{option.replace('_', '-')}" and "--target native" in (refusal.value.remedy or "")


def test_other_data_are_left_alone(tmp_path: Path) -> None:
    deployment.save(Layout(tmp_path), Deployment(target=TargetName.NATIVE))
    with pytest.raises(Conflict, match="deployed as native"):
        plan_embedded(Layout(tmp_path), EMBEDDED, postgres_version=None, force=False)
    deployment.path(Layout(tmp_path)).unlink()
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match="written by PostgreSQL 15"):
        plan(tmp_path)
    with pytest.raises(PavoError, match="not 11"):
        plan_embedded(Layout(tmp_path / "new"), EMBEDDED, postgres_version="11", force=False)


@dataclass(frozen=True)
class Started:
    """A deployment of the embedded target."""

    data: Path
    planned: str
    """What a dry run said."""
    said: str


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("planned")
    for each in (folder, folder.parent):
        each.chmod(0o755)
    data = folder / "data"
    start = ("deploy", "start", "--target", "embedded", "--workers", "1", "--port", str(free_port()))
    dry = pavo(*start, "--dry-run", data_dir=data)
    assert not data.exists()
    unasked = pavo(*start, data_dir=data, check=False)
    assert unasked.returncode == 2 and "--auto-approve" in unasked.stderr and not data.exists()
    try:
        yield Started(data, dry.stdout, pavo(*start, "--auto-approve", data_dir=data).stdout)
    finally:
        pavo("deploy", "destroy", "--auto-approve", data_dir=data, check=False)
    assert not data.exists()


@pytest.mark.timeout(240)
def test_what_is_planned_is_what_runs(started: Started) -> None:
    for column in ("PART", "VERSION", "ADDRESS", "DATA", "What changes", "PostgreSQL cluster is made"):
        assert column in started.planned
    found = status(started.data)
    running = {part["name"]: part for part in found["parts"]}
    assert f"{found['versions']['temporal']} (development server)" in started.said
    assert list(running) == ["postgres", "redis", "temporal", "api", "worker-1", "gateway"]
    for name in ("postgres", "redis", "temporal", "api"):
        assert f"{name}  " in started.said and running[name]["address"] in started.said
    assert pavo("deploy", "start", "--dry-run", data_dir=started.data, check=False).returncode == 4, "it runs"


@pytest.mark.timeout(240)
def test_started_again_it_is_where_it_was(started: Started) -> None:
    before = {part["name"]: part["address"] for part in status(started.data)["parts"]}
    pavo("deploy", "stop", data_dir=started.data)
    again = pavo("deploy", "start", "--auto-approve", data_dir=started.data).stdout
    assert "nothing: everything is there" in again
    assert {part["name"]: part["address"] for part in status(started.data)["parts"]} == before


def status(data: Path) -> dict[str, Any]:
    return json.loads(pavo("deploy", "status", "-o", "json", data_dir=data).stdout)


def test_tls_is_on_for_new_native_deployments_and_never_switched_by_a_start(tmp_path: Path) -> None:
    new = StartOptions(target=TargetName.NATIVE).over(None)
    assert new.tls
    old = Deployment(target=TargetName.NATIVE)
    assert not old.tls and not StartOptions().over(old).tls and not StartOptions(target=TargetName.NATIVE).over(old).tls
    assert StartOptions(tls=True).over(old).tls and not StartOptions(tls=False).over(new).tls
    assert not StartOptions(target=TargetName.EMBEDDED).over(None).tls
    with pytest.raises(ConfigurationError, match="no TLS"):
        plan(tmp_path, tls=True)
    assert not StartOptions(target=TargetName.COMPOSE).over(None).tls
    with pytest.raises(ConfigurationError) as refusal:
        orchestrated_target(Layout(tmp_path), StartOptions(target=TargetName.KUBERNETES, tls=True).over(None))
    assert refusal.value.field == "--tls"


def test_a_plan_names_what_becomes_of_tls(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    off = Deployment(target=TargetName.NATIVE)
    on = off.model_copy(update={"tls": True, "tls_parts": ["temporal"]})
    first, plain = planning.tls_changes(layout, None, on)
    assert str(tmp_path / "tls") in first and first.endswith(": temporal")
    assert "postgres, redis" in plain and "loopback" in plain
    assert planning.tls_changes(layout, off, on) == [first, plain]
    assert planning.tls_changes(layout, on, on) == planning.tls_changes(layout, off, off) == []
    (off_again,) = planning.tls_changes(layout, on, off)
    assert "switched off" in off_again
