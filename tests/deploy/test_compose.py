"""The compose target: its file against the specification, the model and Docker Compose itself."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cryptography import x509

from pavo.config import DatabaseSettings, GatewaySettings
from pavo.deploy.certificates.authority import hosts_of
from pavo.deploy.certificates.kept import kept_certificates
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import PARTS
from pavo.deploy.orchestrated import compose_tls, docker
from pavo.deploy.orchestrated.choose_target import orchestrated_target
from pavo.deploy.orchestrated.compose import SECRETS, ComposeOptions, changes, checkout, read_env, render, write
from pavo.deploy.orchestrated.compose_gateway import ComposeGateway
from pavo.deploy.orchestrated.images import POSTGRES
from pavo.errors import ConfigurationError, NotFound, PavoError
from tests import command

LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
OWN = ("api", "worker", "gateway", "migrate")
ONCE = ("databases", "migrate", "temporal-schema", "temporal-namespace")
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())


def compose(options: ComposeOptions) -> dict[str, Any]:
    return yaml.safe_load(render(options)["compose.yaml"])


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose(ComposeOptions(workers=3))["services"]


VARIANTS = [
    ComposeOptions(),
    ComposeOptions(workers=7, port=80, ui_port=81, project="team-a", bind="0.0.0.0"),
    ComposeOptions(source=Path("/a checkout"), worker_environment={"PAVO_WORKER_BUILD_ID": "1.2"}),
    ComposeOptions(search_attributes={"Kind": "Keyword", "Size": "Int"}, images={"redis": "mirror/valkey@sha256:ab"}),
    ComposeOptions(tls=True, worker_environment={"PAVO_WORKER_BUILD_ID": "1.2"}),
    *(ComposeOptions(tls=tls, gateway=ComposeGateway("::1", 443, names=None)) for tls in (False, True)),
    *(ComposeOptions(postgres=major) for major in POSTGRES),
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_file_follows_the_compose_specification(options: ComposeOptions) -> None:
    text = render(options)["compose.yaml"]
    assert "{{" not in text
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


def test_the_specification_finds_mistakes() -> None:
    wrong = compose(ComposeOptions())
    wrong["services"]["api"]["healthchek"] = {}
    with pytest.raises(jsonschema.ValidationError, match="healthchek"):
        jsonschema.validate(wrong, SCHEMA)


def test_every_part_of_the_model_is_a_service(services: dict[str, Any]) -> None:
    assert set(services) == {*PARTS, *ONCE}
    assert services["worker"]["deploy"]["replicas"] == 3
    assert services["worker"]["environment"]["PAVO_GATEWAY_URL"] == "http://api:8000/llm/v1"


@pytest.mark.parametrize("name", PARTS)
def test_parts_wait_for_what_the_model_says(name: str, services: dict[str, Any]) -> None:
    waits = services[name].get("depends_on", {})
    healthy = {need for need, how in waits.items() if how["condition"] == "service_healthy"}
    assert healthy == set(PARTS[name].needs)
    done = {need for need, how in waits.items() if how["condition"] == "service_completed_successfully"}
    assert healthy | done == set(waits) and done <= set(ONCE)


def test_every_one_shot_is_waited_for(services: dict[str, Any]) -> None:
    """`up --wait` takes the end of one that nobody waits for as a failure, even with exit code 0."""
    waits = [need for service in services.values() for need in service.get("depends_on", {}).items()]
    assert {name for name, how in waits if how["condition"] == "service_completed_successfully"} == set(ONCE)


def test_parts_are_watched_restarted_and_ended_in_time(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in ONCE:
            assert service["restart"].startswith("on-failure") and "healthcheck" not in service, name
            continue
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["restart"] == "unless-stopped", name
        assert float(service["stop_grace_period"].removesuffix("s")) >= PARTS[name].drain_seconds, name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    for name in OWN:
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]


def test_nothing_is_reached_from_outside_but_api_ui_and_gateway(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "api": ["127.0.0.1:8000:8000"],
        "temporal-ui": ["127.0.0.1:8080:8080"],
        "gateway": ["127.0.0.1:7443:7443"],
    }
    document = compose(ComposeOptions())
    assert document["networks"]["stores"] == {"internal": True}
    for name in ("postgres", "redis", "temporal"):
        assert services[name]["networks"] == ["stores"]


def test_with_tls_each_service_has_its_own_certificate_and_no_other() -> None:
    plain, with_tls = compose(ComposeOptions())["services"], compose(ComposeOptions(tls=True))["services"]
    assert [name for name, service in plain.items() if "tls" in str(service).lower()] == ["gateway"]
    for name, service in with_tls.items():
        assert all(volume in service["volumes"] for volume in plain[name].get("volumes", [])), name
        if name == "gateway":
            assert service["volumes"] == plain[name]["volumes"] == ["./tls/gateway:/tls:ro"]
            continue
        volumes = [volume for volume in service.get("volumes", []) if volume not in plain[name].get("volumes", [])]
        assert volumes == ([f"./tls/{name}:/tls:ro"] if name in compose_tls.SHOWN_BY else []), name
        added = service["environment"].items() - plain[name]["environment"].items()
        files = {value for _, value in added if str(value).startswith("/")}
        assert files <= {"/tls/own.pem", "/tls/ca.pem"} and all("TLS" in variable for variable, _ in added)
        assert bool(files) == (name in {*compose_tls.SHOWN_BY, "migrate"}), name
    for name in ("api", "worker", "gateway"):
        assert set(with_tls[name]["environment"]) >= set(compose_tls.ENVIRONMENT["pavo"])


def test_the_gateway_is_published_as_its_settings_say_with_a_certificate_for_its_names(tmp_path: Path) -> None:
    layout, chosen = Layout(tmp_path), Deployment(target=TargetName.COMPOSE)
    folder = orchestrated_target(layout, chosen).folder
    folder.mkdir()
    (folder / "pavo.env").write_text(
        "PAVO_GATEWAY_HOST=10.1.2.3\nPAVO_GATEWAY_PORT=8443\nPAVO_GATEWAY_NAMES=agents.example.com\n"
    )
    target = orchestrated_target(layout, chosen)
    assert {part.name: part.address for part in target.plan()}["gateway"] == "10.1.2.3:8443"
    assert any(line.endswith("gateway; postgres and redis without, in their own network") for line in target.changes())
    written = {file.relative_to(folder).as_posix() for file in target.write()}
    assert {name for name in written if name.startswith("tls/")} == {"tls/gateway/own.pem", "tls/gateway/ca.pem"}
    gateway = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["gateway"]
    assert gateway["ports"] == ["10.1.2.3:8443:7443"]
    told = GatewaySettings.model_validate(gateway["environment"])
    assert (told.host, told.port) == ("0.0.0.0", 7443)
    assert told.certificate == told.key == Path("/tls/own.pem")
    signed = x509.load_pem_x509_certificate((folder / "tls/gateway/own.pem").read_bytes())
    assert {"gateway", "localhost", "10.1.2.3", "agents.example.com"} <= hosts_of(signed)
    assert orchestrated_target(layout, chosen).settings() is not None
    assert (target.settings() or {})["PAVO_GATEWAY_HOST"] == "10.1.2.3", "people's, and not what the container is told"
    deployment.save(layout, chosen)
    renewed = command.pavo(("deploy", "certificates", "--renew", "--data-dir", str(tmp_path)))
    assert renewed.returncode == 0 and "Renewed: gateway" in renewed.stdout, renewed.stdout + renewed.stderr
    assert x509.load_pem_x509_certificate((folder / "tls/gateway/own.pem").read_bytes()) != signed


@pytest.mark.parametrize(
    "told",
    ["PAVO_GATEWAY_INSECURE=true", "PAVO_GATEWAY_TLS_CERT_PATH=/certs/a.pem\nPAVO_GATEWAY_TLS_KEY_PATH=/certs/a.key"],
)
@pytest.mark.parametrize("tls", [False, True])
def test_an_operators_certificate_or_a_proxy_takes_the_place_of_the_own_one(
    told: str, tmp_path: Path, *, tls: bool
) -> None:
    layout, chosen = Layout(tmp_path), Deployment(target=TargetName.COMPOSE, tls=tls)
    folder = orchestrated_target(layout, chosen).folder
    folder.mkdir()
    (folder / "pavo.env").write_text(told + "\n")
    orchestrated_target(layout, chosen).write()
    gateway = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["gateway"]
    assert not any(name.startswith("PAVO_GATEWAY_TLS") for name in gateway["environment"]), "pavo.env tells"
    assert gateway.get("volumes", []) == (["./tls/gateway:/tls:ro"] if tls else []), "for Temporal"
    assert ("gateway" in {each.name for each in kept_certificates(layout)}) == tls
    assert (folder / "tls" / "gateway" / "own.pem").exists() == tls


def test_a_port_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    layout, chosen = Layout(tmp_path), Deployment(target=TargetName.COMPOSE)
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose" / "pavo.env").write_text("PAVO_GATEWAY_PORT=0\n")
    with pytest.raises(ConfigurationError) as raised:
        orchestrated_target(layout, chosen)
    assert raised.value.field == "PAVO_GATEWAY_PORT" and "pavo.env" in (raised.value.remedy or "")


def test_certificates_are_written_where_only_containers_get_to_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    chosen = Deployment(target=TargetName.COMPOSE, tls=True, tls_parts=["temporal"])
    target = orchestrated_target(layout, chosen)
    assert any("own CA, made in" in line for line in target.changes())
    assert not (tmp_path / "tls").exists()
    written = [file.relative_to(target.folder).as_posix() for file in target.write()]
    assert {"tls/temporal/own.pem", "tls/temporal-namespace/ca.pem", "tls/worker/own.pem"} <= set(written)
    assert stat.S_IMODE((target.folder / "tls").stat().st_mode) == 0o700
    for name in compose_tls.SHOWN_BY:
        assert stat.S_IMODE((target.folder / "tls" / name).stat().st_mode) == 0o755
        assert stat.S_IMODE((target.folder / "tls" / name / "own.pem").stat().st_mode) == 0o644
    assert "PRIVATE KEY" not in (target.folder / "tls/worker/ca.pem").read_text()
    assert stat.S_IMODE((tmp_path / "tls" / "ca.key").stat().st_mode) == 0o600
    assert target.write() == [], "what holds stays"
    deployment.save(layout, chosen)
    told = command.pavo(("deploy", "certificates", "--renew", "--data-dir", str(tmp_path)))
    assert told.returncode == 0 and "Renewed: temporal" in told.stdout, told.stdout + told.stderr
    own = (tmp_path / "tls" / "temporal.pem").read_bytes()
    assert (target.folder / "tls/temporal/own.pem").read_bytes() == own


def test_images_are_pinned_and_never_the_deprecated_one(services: dict[str, Any]) -> None:
    for name, service in services.items():
        image = service["image"]
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", image) or "@sha256:" in image, (name, image)
        assert "auto-setup" not in image
    assert services["temporal"]["image"].split(":")[1] == services["temporal-schema"]["image"].split(":")[1]
    chosen = compose(ComposeOptions(images={"postgres": "postgres@sha256:" + "a" * 64}))["services"]
    assert chosen["databases"]["image"] == chosen["postgres"]["image"] == "postgres@sha256:" + "a" * 64


def test_no_password_has_a_default() -> None:
    text = render(ComposeOptions())["compose.yaml"]
    for name in SECRETS:
        used = re.findall(rf"\$\{{{name}(.)", text)
        assert used and set(used) == {":"}, name
        assert f"${{{name}:-" not in text
    assert not re.search(r"(PASSWORD|PWD|SECRET_KEY): [\"']?[^$\"'\s]", text)


def test_connections_suffice(services: dict[str, Any]) -> None:
    def limit(workers: int) -> int:
        command = compose(ComposeOptions(workers=workers))["services"]["postgres"]["command"]
        return next(int(word.partition("=")[2]) for word in command if word.startswith("max_connections"))

    temporal = services["temporal"]["environment"]
    pools = 4 * (int(temporal["SQL_MAX_CONNS"]) + int(temporal["SQL_VIS_MAX_CONNS"]))
    pool = DatabaseSettings().pool_size
    assert limit(1) >= pools + pool + 2 * pool + pool + 5  # the API's, a worker's two, the gateway's, some for people
    assert limit(5) - limit(4) == 2 * pool


def test_volumes_are_where_each_postgres_image_keeps_its_data() -> None:
    def mount(major: int) -> str:
        return compose(ComposeOptions(postgres=major))["services"]["postgres"]["volumes"][0]

    assert mount(18) == "postgres-18:/var/lib/postgresql"
    assert mount(17) == "postgres-17:/var/lib/postgresql/data"


def test_writing_again_keeps_secrets_and_own_settings(tmp_path: Path) -> None:
    assert changes(ComposeOptions(), tmp_path)["compose.yaml"] == "new"
    written = {file.relative_to(tmp_path).as_posix() for file in write(ComposeOptions(), tmp_path)}
    assert written == set(render(ComposeOptions()))
    for private in (".env", "pavo.env"):
        assert stat.S_IMODE((tmp_path / private).stat().st_mode) == 0o600
    for shared in ("scripts/temporal-schema.sh", "dynamicconfig/pavo.yaml"):
        assert stat.S_IMODE((tmp_path / shared).stat().st_mode) == 0o644
        assert stat.S_IMODE((tmp_path / shared).parent.stat().st_mode) == 0o755
    before = read_env(tmp_path)
    assert len({before[name] for name in SECRETS}) == len(SECRETS) and all(len(before[name]) >= 24 for name in SECRETS)
    (tmp_path / "pavo.env").write_text("LLM_KEY=1\n")
    assert changes(ComposeOptions(workers=2), tmp_path) == {
        **dict.fromkeys(render(ComposeOptions()), "kept"),
        "compose.yaml": "changed",
    }
    assert write(ComposeOptions(workers=2), tmp_path) == [tmp_path / "compose.yaml"]
    assert read_env(tmp_path) == before and (tmp_path / "pavo.env").read_text() == "LLM_KEY=1\n"
    assert write(ComposeOptions(workers=2), tmp_path) == []


def test_a_lost_secret_is_made_anew_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nPOSTGRES_PASSWORD=chosen\nREDIS_PASSWORD=\nOTHER=1")
    write(ComposeOptions(), tmp_path)
    assert (tmp_path / ".env").read_text().startswith("# mine\nPOSTGRES_PASSWORD=chosen\n")
    found = read_env(tmp_path)
    assert found["POSTGRES_PASSWORD"] == "chosen" and found["OTHER"] == "1" and len(found["REDIS_PASSWORD"]) > 20


def test_other_shards_are_refused(tmp_path: Path) -> None:
    write(ComposeOptions(shards=128), tmp_path)
    with pytest.raises(ConfigurationError, match="shards 128"):
        write(ComposeOptions(), tmp_path)


def test_another_postgres_major_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write(ComposeOptions(postgres=17), tmp_path)
    before = (tmp_path / "compose.yaml").read_text()
    with pytest.raises(ConfigurationError, match="PostgreSQL 17"):
        write(ComposeOptions(postgres=18), tmp_path)
    assert (tmp_path / "compose.yaml").read_text() == before


def test_temporal_goes_up_one_minor_at_a_time(tmp_path: Path) -> None:
    write(ComposeOptions(temporal="1.30.4"), tmp_path)
    for wrong in ("1.32.0", "2.31.0"):
        with pytest.raises(ConfigurationError, match="one minor at a time") as raised:
            write(ComposeOptions(temporal=wrong), tmp_path)
        assert "1.31" in (raised.value.remedy or "")
    for right in ("1.30.5", "1.30.4", "1.31.2", "1.32.0"):
        write(ComposeOptions(temporal=right), tmp_path)
    with pytest.raises(ConfigurationError, match="no way back"):
        write(ComposeOptions(temporal="1.31.2"), tmp_path)
    assert "temporalio/server:1.32.0" in (tmp_path / "compose.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ComposeOptions(workers=0), "--workers"),
        (ComposeOptions(port=0), "--port"),
        (ComposeOptions(port=8080), "--port"),
        (ComposeOptions(port=7443), "PAVO_GATEWAY_PORT"),
        (ComposeOptions(postgres=12), "--postgres-version"),
        (ComposeOptions(temporal="1.32"), "--temporal-version"),
        (ComposeOptions(temporal="1.29.1"), "--temporal-version"),
        (ComposeOptions(project="../x"), "project"),
        (ComposeOptions(images={"mysql": "x"}), "images"),
        (ComposeOptions(retention_days=0), "retention_days"),
        (ComposeOptions(namespace='a"b'), "namespace"),
    ],
)
def test_bad_options_are_named(options: ComposeOptions, field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        render(options)
    assert raised.value.field == field


def docker_compose(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = docker.compose_command()
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is installed")
    words = [*command, "--project-directory", str(folder), "config", "--format", "json"]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def reference_loader(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The specification's own loader, which Docker Compose is built on. By itself it fills no variables in."""
    if not shutil.which("go"):
        pytest.skip("there is no Go, by which the loader is had")
    words = ["go", "run", LOADER, "-no-interpolation", "-format", "json", "compose.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=280, cwd=folder)
    if "failed to" not in done.stderr and done.returncode:
        pytest.skip(f"{LOADER} cannot be had: {done.stderr[-300:]}")
    return done


@pytest.mark.timeout(600)
@pytest.mark.parametrize("load", [docker_compose, reference_loader])
def test_compose_itself_takes_the_file(
    load: Callable[[Path], "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    write(ComposeOptions(workers=2, source=checkout()), tmp_path)
    done = load(tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert set(found) == {*PARTS, *ONCE}
    assert found["worker"]["deploy"]["replicas"] == 2 and found["worker"]["read_only"]
    wrong = (tmp_path / "compose.yaml").read_text().replace("shm_size:", "shm_sice:")
    (tmp_path / "compose.yaml").write_text(wrong)
    refused = load(tmp_path)
    assert refused.returncode != 0 and "shm_sice" in refused.stderr


def test_docker_compose_fills_secrets_in_and_refuses_without_them(tmp_path: Path) -> None:
    write(ComposeOptions(), tmp_path)
    found = json.loads(docker_compose(tmp_path).stdout)["services"]
    secret = read_env(tmp_path)["PAVO_DATABASE_PASSWORD"]
    assert found["api"]["environment"]["DATABASE_URL"] == f"postgresql://pavo:{secret}@postgres:5432/pavo"
    (tmp_path / ".env").write_text("")
    refused = docker_compose(tmp_path)
    assert refused.returncode != 0 and "pavo deploy start --target compose" in refused.stderr


def test_without_docker_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ComposeOptions(), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert docker.check_docker() == "There is no docker on the PATH."
    with pytest.raises(ConfigurationError, match="no docker") as raised:
        docker.up(tmp_path)
    assert "Install Docker" in (raised.value.remedy or "")


def test_without_the_plugin_or_an_engine_the_reason_is_said() -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker client")
    reason = docker.check_docker()
    if reason is None:
        pytest.skip("an engine runs here")
    assert "Compose plugin" in reason or "No Docker engine answers" in reason


FAKE = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
  *version*) echo 2.40.0 ;;
  *" ps "*) cat {folder}/ps ;;
  *" up "*) echo 'dependency failed to start: container pavo-temporal-1 is unhealthy' >&2; exit 1 ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that writes down what it was asked, and fails to start things."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(FAKE.format(folder=folder))
    (folder / "docker").chmod(0o755)
    rows = [
        {"Service": "worker", "Name": "pavo-worker-2", "State": "running", "Health": "healthy", "ExitCode": 0},
        {"Service": "databases", "Name": "pavo-databases-1", "State": "exited", "Health": "", "ExitCode": 0},
        {"Service": "api", "Name": "pavo-api-1", "State": "running", "Health": "starting", "ExitCode": 0},
        {"Service": "migrate", "Name": "pavo-migrate-1", "State": "exited", "Health": "", "ExitCode": 1},
    ]
    (folder / "ps").write_text("\n".join(json.dumps(row) for row in rows))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    write(ComposeOptions(), tmp_path)
    return folder


def test_status_speaks_of_parts(fake: Path) -> None:
    found = {one.name: one.ready for one in docker.status(fake.parent)}
    assert found == {"api": False, "worker-2": True, "databases": True, "migrate": False}
    assert list(found)[:2] == ["api", "worker-2"]
    (fake / "ps").write_text(json.dumps([json.loads((fake / "ps").read_text().splitlines()[0])]))
    assert [one.name for one in docker.status(fake.parent)] == ["worker-2"]


def test_parts_are_restarted_by_their_names(fake: Path) -> None:
    docker.restart(fake.parent, "worker-2")
    docker.restart(fake.parent, "temporal-ui")
    calls = (fake / "calls").read_text().splitlines()
    assert "restart pavo-worker-2" in calls
    assert f"compose --project-directory {fake.parent} restart temporal-ui" in calls
    with pytest.raises(NotFound, match="worker-9"):
        docker.restart(fake.parent, "worker-9")
    with pytest.raises(ConfigurationError, match="no part"):
        docker.restart(fake.parent, "cassandra")


def test_docker_gets_nothing_of_the_shell_that_the_file_has_filled_in(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose prefers the shell's variables to .env: a start from another shell changed keys and passwords."""
    (fake / "docker").write_text(
        '#!/bin/sh\ncase "$*" in *version*) echo 2.40.0 ;; *) env > ' + f"{fake}/env ;; esac\n"
    )
    for name in (*SECRETS, "TEMPORAL_HISTORY_SHARDS", "OF_OVERRIDE"):
        monkeypatch.setenv(name, "of the shell")
    for call in (lambda: docker.up(fake.parent), lambda: docker.logs(fake.parent, show=lambda part, line: None)):
        (fake / "env").unlink(missing_ok=True)
        call()
        given = (fake / "env").read_text()
        assert [line for line in given.splitlines() if line.endswith("=of the shell")] == ["OF_OVERRIDE=of the shell"]
        assert "PATH=" in given


def test_what_docker_says_on_failure_is_passed_on(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(PavoError, match="pavo-temporal-1 is unhealthy"):
        docker.up(fake.parent)
    docker.down(fake.parent, volumes=True)
    assert (fake / "calls").read_text().splitlines()[-1].endswith("down --remove-orphans --volumes")
    with pytest.raises(NotFound, match=r"no compose\.yaml"):
        docker.down(tmp_path / "nowhere")
