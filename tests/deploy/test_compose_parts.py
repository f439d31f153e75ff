"""What the containers of compose.yaml run, run here without containers: the same commands, scripts and environments."""

import asyncio
import contextlib
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
import pytest_asyncio
import yaml
from redis.asyncio import Redis
from redis.exceptions import RedisError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from pavo.deploy.certificates.parts import certificates_of
from pavo.deploy.local.components.probes import port_answers
from pavo.deploy.local.components.temporal_programs import SERVER, SQL_TOOL, cache_folder
from pavo.deploy.local.components.wheels import postgres_home, redis_server
from pavo.deploy.local.machine.ports import free_port
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.local.stack import EmbeddedStack, remove_data
from pavo.deploy.model.layout import Layout
from pavo.deploy.orchestrated import compose_tls
from pavo.deploy.orchestrated.compose import ComposeOptions, read_env, render, write
from pavo.temporal.client import connect_to
from tests.driving import until

LIMIT = 90.0
VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}")


@dataclass(frozen=True, slots=True)
class Stack:
    """A written folder, and a PostgreSQL that is as fresh as a container's."""

    folder: Path
    services: Mapping[str, Any]
    superuser: Mapping[str, str]
    """PGHOST, PGPORT, PGUSER and PGPASSWORD."""

    def environment(self, service: str, **instead: str) -> dict[str, str]:
        """What the service's container is given; `instead` for what is elsewhere on this machine."""
        values = read_env(self.folder)
        given = self.services[service]["environment"]
        filled = {name: VARIABLE.sub(lambda found: values[found[1]], str(text)) for name, text in given.items()}
        return {"PATH": os.environ["PATH"], **filled, **instead}

    def script(self, service: str) -> list[str]:
        """The entry point of a one-shot."""
        return [word.replace("/pavo/", f"{self.folder}/scripts/") for word in self.services[service]["entrypoint"]]

    def url(self, role: str, database: str) -> str:
        """As a role logs in."""
        secret = read_env(self.folder)[f"{role.upper()}_DATABASE_PASSWORD"]
        return f"postgresql://{role}:{secret}@127.0.0.1:{self.superuser['PGPORT']}/{database}"


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    options = ComposeOptions(search_attributes={"PavoKind": "Keyword"}, retention_days=3)
    write(options, folder)
    data = tmp_path_factory.mktemp("postgres") / "data"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    async with EmbeddedStack(data, ephemeral=True, parts=("postgres",)) as running:
        url = urlsplit(running.environment["DATABASE_URL"])
        superuser = {"PGPORT": str(url.port), "PGUSER": "super", "PGPASSWORD": "super", "PGHOST": "127.0.0.1"}
        with psycopg.connect(running.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CREATE ROLE super SUPERUSER LOGIN PASSWORD 'super'")
        yield Stack(folder, services, superuser)
    remove_data(data)


def run(words: list[str], environment: Mapping[str, str], expect: int = 0) -> str:
    done = subprocess.run(words, env=dict(environment), capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Stack:
    """Roles and databases are there; made twice, as every `up` does."""
    _, *words = stack.script("databases")
    psql = str(postgres_home(unprivileged()) / "bin" / "psql")
    for _ in range(2):
        run([psql, *words], stack.environment("databases", **{**stack.superuser, "PGDATABASE": "postgres"}))
    return stack


def test_each_role_has_its_databases_and_no_others(databases: Stack) -> None:
    own = {"pavo": ("pavo",), "temporal": ("temporal", "temporal_visibility")}
    for role, mine in own.items():
        for name in ("pavo", "temporal", "temporal_visibility"):
            if name in mine:
                with psycopg.connect(databases.url(role, name)) as connection:
                    connection.execute("CREATE TEMPORARY TABLE works (id int)")
            elif role != "pavo":  # on this server, unlike in the container, pavo is a superuser
                with pytest.raises(psycopg.OperationalError, match="permission denied"):
                    psycopg.connect(databases.url(role, name))
    with psycopg.connect(databases.url("temporal", "temporal")) as connection:
        row = connection.execute("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = 'temporal'").fetchone()
    assert row == (False,)


def test_a_changed_password_takes_effect_at_the_next_start(databases: Stack) -> None:
    _, *words = databases.script("databases")
    psql = str(postgres_home(unprivileged()) / "bin" / "psql")
    login = {**databases.superuser, "PGDATABASE": "postgres"}
    run([psql, *words], databases.environment("databases", **login, TEMPORAL_DATABASE_PASSWORD='it\'s "new"'))
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(databases.url("temporal", "temporal"))
    run([psql, *words], databases.environment("databases", **login))
    psycopg.connect(databases.url("temporal", "temporal")).close()
    refused = run([psql, *words], databases.environment("databases", **{**login, "PGPASSWORD": "no"}), expect=2)
    assert "authentication failed" in refused


async def test_valkey_starts_with_its_password_and_keeps_data(stack: Stack, tmp_path: Path) -> None:
    """The image's entry point only drops root; here a stand-in just goes on."""
    shim = tmp_path / "docker-entrypoint.sh"
    shim.write_text('#!/bin/sh\nexec "$@"\n')
    shim.chmod(0o755)
    port = free_port()
    script = str(stack.services["redis"]["command"][-1]).replace("$$", "$").replace("/data", str(tmp_path))
    script += f" --port {port} --bind 127.0.0.1 --dir {tmp_path}"
    given = stack.environment("redis", PATH=f"{tmp_path}:{redis_server().parent}:{os.environ['PATH']}")
    secret = read_env(stack.folder)["REDIS_PASSWORD"]

    async def answers() -> bool:
        redis = Redis(port=port, password=secret)
        try:
            return bool(await redis.ping())  # pyright: ignore[reportGeneralTypeIssues]
        except RedisError:
            return False
        finally:
            await redis.aclose()

    for kept in (None, b"1"):
        process = await asyncio.create_subprocess_exec("sh", "-c", script, env=given, stdout=subprocess.DEVNULL)
        try:
            await until(answers, seconds=LIMIT)
            assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text()
            async with Redis(port=port, password=secret) as redis:
                assert await redis.get("kept") == kept
                await redis.set("kept", 1)
            async with Redis(port=port) as stranger:
                with pytest.raises(RedisError, match="authenticated"):
                    await stranger.ping()
        finally:
            process.terminate()
            await process.wait()
    assert (tmp_path / "valkey.conf").stat().st_mode & 0o777 == 0o600


async def test_the_namespace_is_made_once_and_its_retention_follows(stack: Stack, tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path / "temporal", ephemeral=True, parts=("temporal",)) as running:
        address = running.environment["TEMPORAL_ADDRESS"]
        given = stack.environment("temporal-namespace", TEMPORAL_ADDRESS=address, NAMESPACE="team", HOME=str(tmp_path))
        given["PATH"] = f"{Path(sys.executable).parent}:{given['PATH']}"
        client = await Client.connect(address)
        for days in (3, 5):
            await asyncio.to_thread(run, stack.script("temporal-namespace"), {**given, "RETENTION": f"{days * 24}h"})
            request = DescribeNamespaceRequest(namespace="team")

            async def kept(request: DescribeNamespaceRequest = request, days: int = days) -> bool:
                found = await client.workflow_service.describe_namespace(request)
                return found.config.workflow_execution_retention_ttl.seconds == days * 86_400

            await until(kept, seconds=LIMIT)
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="team"))
        assert "PavoKind" in listed.custom_attributes
    remove_data(tmp_path / "temporal")


def plain_role(databases: Stack) -> str:
    """The URL of a role as the container's `pavo` is, which on this server is a superuser."""
    _, *words = databases.script("databases")
    script = Path(words[-1]).read_text().replace("pavo", "plain")
    changed = databases.folder / "plain.sql"
    changed.write_text(script)
    login = {**databases.superuser, "PGDATABASE": "postgres"}
    psql = str(postgres_home(unprivileged()) / "bin" / "psql")
    run([psql, *words[:-1], str(changed)], databases.environment("databases", **login))
    return databases.url("pavo", "plain").replace("//pavo:", "//plain:")


def temporal_programs() -> Path:
    """A folder with both programs; building them takes minutes, which is not done here."""
    on_path = shutil.which(SQL_TOOL)
    if on_path and shutil.which(SERVER):
        return Path(on_path).parent
    kept = sorted((cache_folder() / "temporal").glob(f"*/{SQL_TOOL}"), key=lambda file: file.stat().st_mtime)
    for tool in reversed(kept):
        if tool.with_name(SERVER).exists():
            return tool.parent
    pytest.skip(f"neither the PATH nor {cache_folder()} has {SERVER} and {SQL_TOOL}")


@pytest.fixture
def with_tls(databases: Stack, tmp_path: Path) -> Stack:
    """The same folder with certificates, as a start with --tls writes it; what containers mount is taken from there."""
    own = certificates_of(Layout(tmp_path), ["temporal"])
    own.ensure(datetime.now(UTC))
    compose_tls.write_certificates(own, databases.folder)
    document = render(ComposeOptions(tls=True, search_attributes={"PavoKind": "Keyword"}, retention_days=3))
    services = yaml.safe_load(document["compose.yaml"])["services"]
    for name in compose_tls.SHOWN_BY:
        for variable, value in services[name]["environment"].items():
            if str(value).startswith("/tls/"):
                moved = f"{databases.folder}/tls/{name}/{value.rpartition('/')[2]}"
                services[name]["environment"][variable] = moved
    return replace(databases, services=services)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tls", [False, True], ids=["plainly", "with-tls"])
async def test_temporal_starts_on_the_schema_that_the_one_shot_made(
    databases: Stack, with_tls: Stack, environment: dict[str, str], tmp_path: Path, *, tls: bool
) -> None:
    """The image's entry point only adds the addresses; everything else is in the environment. Pavo works on it."""
    databases = with_tls if tls else databases
    programs = temporal_programs()
    place = {"PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    sql = databases.environment("temporal-schema", SQL_HOST="127.0.0.1", SQL_PORT=databases.superuser["PGPORT"])
    for _ in range(2):
        await asyncio.to_thread(run, databases.script("temporal-schema"), {**sql, **place})
    with psycopg.connect(databases.url("temporal", "temporal"), autocommit=True) as connection:
        connection.execute("DELETE FROM cluster_membership")  # the server of another case listened on other ports
    dynamic = databases.folder / "dynamicconfig" / "pavo.yaml"
    said = await asyncio.to_thread(run, [SERVER, "validate-dynamic-config", str(dynamic)], place)
    assert "unregistered" not in said.lower() and "error" not in said.lower(), said
    services, taken = ("FRONTEND", "MATCHING", "HISTORY", "WORKER"), set[int]()
    names = [f"{name}_{kind}_PORT" for name in services for kind in ("GRPC", "MEMBERSHIP")]
    for _ in range(len(names) + 2):
        taken.add(free_port(taken))
    *chosen, http, metrics = sorted(taken)
    ports = {name: str(port) for name, port in zip(names, chosen, strict=True)}
    ports |= {"FRONTEND_HTTP_PORT": str(http), "PROMETHEUS_ENDPOINT": f"127.0.0.1:{metrics}"}
    here = {"POSTGRES_SEEDS": "127.0.0.1", "DB_PORT": databases.superuser["PGPORT"], "BIND_ON_IP": "127.0.0.1"}
    given = databases.environment("temporal", **here, **ports, **place, DYNAMIC_CONFIG_FILE_PATH=str(dynamic))
    with (tmp_path / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(SERVER, "start", env=given, stdout=log, stderr=log, cwd=tmp_path)
    probe = databases.services["temporal"]["healthcheck"]["test"][-1].replace("7243", ports["FRONTEND_HTTP_PORT"])
    address = f"127.0.0.1:{ports['FRONTEND_GRPC_PORT']}"

    async def healthy() -> bool:
        assert server.returncode is None, (tmp_path / "log").read_text()[-3000:]
        if tls:
            return await port_answers(address)
        try:
            async with httpx2.AsyncClient() as client:
                return (await client.get(probe)).status_code == 200
        except httpx2.HTTPError:
            return False

    try:
        await until(healthy, seconds=LIMIT)
        namespace = databases.environment("temporal-namespace", TEMPORAL_ADDRESS=address)
        await asyncio.to_thread(run, databases.script("temporal-namespace"), {**namespace, **place})
        client = await connect_to({**namespace, "TEMPORAL_ADDRESS": address})
        if tls:
            with pytest.raises(RuntimeError):
                await Client.connect(address)
        found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        assert found.config.workflow_execution_retention_ttl.seconds == 3 * 86_400
        here = {
            "DATABASE_URL": plain_role(databases),
            "REDIS_URL": environment["REDIS_URL"],
            "PAVO_TEMPORAL_UI_URL": "",
        }
        own = databases.environment("api", **here, **place, TEMPORAL_ADDRESS=address, TEMPORAL_CONFIG_FILE=os.devnull)
        for words in (["migrate"], ["validate"]):
            await asyncio.to_thread(run, ["pavo", *words], own)
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await server.wait()


def certified(stack: Stack, folder: Path) -> dict[str, str]:
    """What the gateway is told of its certificate, which is written where its container mounts it."""
    own = ComposeOptions().gateway.certificates(Layout(folder), tls=False)
    assert own is not None
    own.ensure(datetime.now(UTC))
    compose_tls.write_certificates(own, stack.folder)
    told = stack.services["gateway"]["environment"]
    return {
        name: str(value).replace("/tls/", f"{stack.folder}/tls/gateway/")
        for name, value in told.items()
        if name.startswith("PAVO_GATEWAY_TLS")
    }


@pytest.mark.parametrize("name", ["worker", "api", "gateway"])
async def test_own_containers_get_healthy_and_end_in_time(
    name: str, stack: Stack, environment: dict[str, str], tmp_path: Path
) -> None:
    """Entry point, health check and grace period of the image's three kinds, on this machine's stores."""
    service = stack.services[name]
    listen, metrics = free_port(), free_port()
    given = stack.environment(name, **environment, HOME=str(tmp_path), TEMPORAL_CONFIG_FILE=os.devnull)
    given |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    given |= {"PAVO_METRICS_ADDRESS": f"127.0.0.1:{metrics}", "PAVO_HOST": "127.0.0.1", "PAVO_PORT": str(listen)}

    if name == "gateway":
        given |= certified(stack, tmp_path) | {"PAVO_GATEWAY_HOST": "127.0.0.1", "PAVO_GATEWAY_PORT": str(listen)}

    def here(words: list[str]) -> list[str]:
        moved = [
            word.replace("/tmp/ready", str(tmp_path / "ready")).replace(":9464/", f":{metrics}/") for word in words
        ]
        return [word.replace(":8000/", f":{listen}/") for word in moved]

    kind, *check = here(service["healthcheck"]["test"])
    check = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
    assert subprocess.run(check, env=given, capture_output=True, check=False).returncode != 0
    command = here(service.get("entrypoint") or ["pavo", *service["command"]])
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=given, stdout=log, stderr=log, cwd=tmp_path)

    async def healthy() -> bool:
        assert process.returncode is None, (tmp_path / "log").read_text()[-3000:]
        asked = await asyncio.create_subprocess_exec(*check, env=given, stderr=subprocess.DEVNULL)
        return await asked.wait() == 0

    try:
        await until(healthy, seconds=LIMIT)
        if name == "gateway":
            trusted = ssl.create_default_context(cafile=str(stack.folder / "tls" / "gateway" / "ca.pem"))
            _, writer = await asyncio.open_connection("localhost", listen, ssl=trusted)
            writer.close()
        process.terminate()
        await asyncio.wait_for(process.wait(), float(service["stop_grace_period"].removesuffix("s")))
        assert process.returncode in (0, -15)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_the_backup_that_the_page_describes_comes_back_whole(databases: Stack, root: Path, tmp_path: Path) -> None:
    """The page's own commands, without `docker compose exec` before them: dump, lose everything, restore."""
    page = (root / "docs" / "deployment-compose.md").read_text()
    dumps = re.findall(r"^\$ docker compose exec -T postgres (pg_dump .+)$", page, re.M)
    restores = re.findall(r"^\$ docker compose exec -T postgres (pg_restore .+)$", page, re.M)
    assert len(dumps) == len(restores) == 3
    programs = postgres_home(unprivileged()) / "bin"
    login = {**databases.superuser, "PATH": f"{programs}:{os.environ['PATH']}", "PGDATABASE": "postgres"}

    def shell(command: str) -> None:
        run(["sh", "-ec", f"cd {tmp_path} && {command.replace('--username postgres', '--username super')}"], login)

    own = {"pavo": "pavo", "temporal": "temporal", "temporal_visibility": "temporal"}
    for name, role in own.items():
        with psycopg.connect(databases.url(role, name)) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
            connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 100)")
    for command in dumps:
        shell(command)
    for name in own:
        shell(f"dropdb --force --username postgres {name}")
    _, *words = databases.script("databases")
    run(["psql", *words], databases.environment("databases", **login))
    for command in restores:
        shell(command)
    for name, role in own.items():
        with psycopg.connect(databases.url(role, name)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (100,)
            connection.execute("DROP TABLE kept")  # it is the role's own again
