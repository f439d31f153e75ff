"""The gateway of a stack on this machine: where it listens, under which certificate, and what agents are told."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pavo.deploy.certificates.authority import hosts_of
from pavo.deploy.certificates.kept import kept_certificates
from pavo.deploy.local import liveness, native
from pavo.deploy.local.components.gateway_process import (
    CERTIFICATE,
    KEY,
    GatewayPlace,
    GatewayProcess,
    wanted_port,
    with_gateway,
)
from pavo.deploy.local.machine.ports import free_port, replace_taken
from pavo.deploy.model import deployment, kept_settings
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "data").mkdir()
    return Layout(tmp_path / "data")


def keep(layout: Layout, **settings: str) -> None:
    kept_settings.save(layout, settings, expected=None)


def test_it_listens_on_loopback_with_a_certificate_of_the_deployments_own_ca(layout: Layout) -> None:
    keep(layout)
    place = GatewayPlace.of(layout, 7443)
    assert (place.address, place.url) == ("127.0.0.1:7443", "https://127.0.0.1:7443")
    assert place.ca == str(layout.root / "tls" / "ca.pem") and not Path(place.ca).exists()
    part = GatewayProcess(layout, lambda: {"DATABASE_URL": "x"}, place, now=lambda: NOW)
    part.prepare()
    told = part.launch("gateway", {}).environment
    assert told["PAVO_GATEWAY_HOST"] == "127.0.0.1" and told["PAVO_GATEWAY_PORT"] == "7443"
    assert told[CERTIFICATE] == told[KEY] == str(layout.root / "tls" / "gateway.pem")
    signed = x509.load_pem_x509_certificate(Path(told[CERTIFICATE]).read_bytes())
    assert hosts_of(signed) == {"gateway", "localhost", "127.0.0.1", socket.gethostname()}
    assert part.greeting == liveness.GRPC_OVER_TLS
    trusted = ssl.create_default_context(cafile=place.ca)
    assert len(trusted.get_ca_certs()) == 1


def test_its_certificate_is_good_for_the_names_that_agents_call_it_and_is_renewed(layout: Layout) -> None:
    keep(layout, PAVO_GATEWAY_HOST="0.0.0.0", PAVO_GATEWAY_NAMES="agents.example.com, 10.1.2.3")
    place = GatewayPlace.of(layout, 7443)
    assert place.address == "127.0.0.1:7443" and place.url == f"https://{socket.gethostname()}:7443"
    GatewayProcess(layout, dict, place, now=lambda: NOW).prepare()
    file = layout.root / "tls" / "gateway.pem"
    first = file.read_bytes()
    assert {"agents.example.com", "10.1.2.3"} <= hosts_of(x509.load_pem_x509_certificate(first))
    GatewayProcess(layout, dict, place, now=lambda: NOW + timedelta(days=1)).prepare()
    assert file.read_bytes() == first
    GatewayProcess(layout, dict, place, now=lambda: NOW + timedelta(days=300)).prepare()
    assert file.read_bytes() != first
    assert {each.name for each in kept_certificates(layout)} == {"ca", "gateway"}


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({CERTIFICATE: "/etc/ssl/agents.pem", KEY: "/etc/ssl/agents.key"}, "https://127.0.0.1:7443"),
        ({"PAVO_GATEWAY_INSECURE": "true"}, "http://127.0.0.1:7443"),
    ],
)
def test_an_operators_certificate_or_a_proxy_takes_the_place_of_the_own_one(
    layout: Layout, settings: dict[str, str], url: str
) -> None:
    keep(layout, **settings)
    place = GatewayPlace.of(layout, 7443)
    part = GatewayProcess(layout, dict, place)
    part.prepare()
    assert (place.url, place.ca) == (url, "") and not (layout.root / "tls").exists()
    told = part.launch("gateway", {}).environment
    assert {name: told[name] for name in settings} == settings


def test_agents_find_it_on_the_same_port_after_each_start(layout: Layout) -> None:
    keep(layout)
    first = with_gateway(layout, {"api": free_port(), "redis": free_port()})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["gateway"]))
        assert replace_taken(first)["gateway"] == first["gateway"], "not given away, as little as the API's"
    assert with_gateway(layout, first) == first
    wanted = free_port()
    kept_settings.save(layout, {"PAVO_GATEWAY_PORT": str(wanted)}, expected=1)
    assert wanted_port(layout) == wanted and with_gateway(layout, first) == {**first, "gateway": wanted}


def test_a_deployment_of_before_gets_a_port_for_one_and_keeps_it(layout: Layout) -> None:
    keep(layout)
    chosen = native.choose_ports(layout, Deployment(target=TargetName.NATIVE, port=free_port()))
    before = chosen.model_copy(update={"ports": {k: v for k, v in chosen.ports.items() if k != "gateway"}})
    deployment.save(layout, before)
    found = native._with_gateway_port(layout, before)  # pyright: ignore[reportPrivateUsage]
    assert found.ports.keys() == chosen.ports.keys() and deployment.load(layout) == found
