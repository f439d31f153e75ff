"""TLS: by a certificate that the agent's authority signed; without one the gateway listens on loopback alone."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from pavo.deploy.certificates.authority import Signed, new_authority, sign
from pavo.deploy.local import liveness
from tests.fleet.conftest import start_gateway
from tests.fleet.fake_agent import agent
from tests.fleet.rows import Rows
from tests.parts import Parts


def certified(authority: Signed, folder: Path) -> dict[str, str]:
    """The settings of a gateway with a certificate by this authority."""
    signed = sign(authority, "gateway", ["127.0.0.1"], datetime.now(UTC))
    certificate, key = folder / "gateway.pem", folder / "gateway.key"
    certificate.write_text(signed.certificate_pem)
    key.write_text(signed.key_pem)
    return {"PAVO_GATEWAY_TLS_CERT_PATH": str(certificate), "PAVO_GATEWAY_TLS_KEY_PATH": str(key)}


async def test_a_supervisors_greetings_are_answered_and_leave_the_log_quiet(parts: Parts, tmp_path: Path) -> None:
    secured = await start_gateway(parts, **certified(new_authority("ours", datetime.now(UTC)), tmp_path))
    for _ in range(5):
        assert await liveness.heard(secured.address, liveness.GRPC_OVER_TLS)
    secured.part.end()
    lines = secured.part.log.read_text().splitlines()
    assert any("ready on port" in line for line in lines)
    assert [line for line in lines if not re.match(r"20\d\d-\d\d-\d\d \S+ INFO ", line)] == [], "not gRPC's own lines"


async def test_an_agent_pins_the_authority(parts: Parts, rows: Rows, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority, other = new_authority("ours", now), new_authority("theirs", now)
    secured = await start_gateway(parts, **certified(authority, tmp_path))
    token = await rows.token()
    async with agent(secured.address, token, ca=authority.certificate_pem.encode()) as builder:
        await builder.connect()
    for ca in (other.certificate_pem.encode(), None):
        async with agent(secured.address, token, ca=ca) as builder:
            await builder.open()
            assert "UNAVAILABLE" in await builder.until(lambda: builder.ended)


def test_without_a_certificate_it_listens_on_loopback_alone(environment: dict[str, str]) -> None:
    for given, told in (
        ({"PAVO_GATEWAY_HOST": "0.0.0.0"}, "PAVO_GATEWAY_TLS_CERT_PATH"),
        ({"PAVO_GATEWAY_TLS_CERT_PATH": "/nonexistent"}, "PAVO_GATEWAY_TLS_KEY_PATH"),
        ({"PAVO_GATEWAY_TLS_CERT_PATH": "/dev/null", "PAVO_GATEWAY_TLS_KEY_PATH": "/nonexistent"}, "/nonexistent"),
    ):
        command = [str(Path(sys.executable).with_name("pavo")), "gateway"]
        ended = subprocess.run(
            command, env=environment | given, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 2 and told in ended.stderr, ended.stderr
