"""A native deployment whose parts prove themselves to each other by certificates of its own CA."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client, TLSConfig

from pavo.deploy.certificates.kept import Certificates, kept_certificates
from pavo.deploy.certificates.parts import ClientFiles, certificates_of
from pavo.deploy.model.layout import Layout
from pavo.temporal.client import connect_to
from tests.deploy.native.conftest import need_temporal
from tests.deploy.native.stack import NEWEST, Native, deployed
from tests.faults.drive import Driver
from tests.faults.stack import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]


def own(native: Native) -> Certificates:
    return certificates_of(Layout(native.data_dir), ["temporal"])


async def reached(native: Native, tls: TLSConfig | bool) -> bool:
    """Whether a client gets an answer of the frontend."""
    try:
        await Client.connect(native.state.environment["TEMPORAL_ADDRESS"], tls=tls)
    except RuntimeError:
        return False
    return True


async def shown_by_temporal(native: Native) -> bytes:
    """The certificate that the frontend shows a client of the deployment now."""
    context = ssl.create_default_context(cafile=str(own(native).trusted))
    context.load_cert_chain(own(native).of("operator"))
    context.set_alpn_protocols(["h2"])
    host, _, port = native.state.environment["TEMPORAL_ADDRESS"].rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()


def on_disk(native: Native) -> bytes:
    return ssl.PEM_cert_to_DER_cert(own(native).of("temporal").read_text().partition("-----BEGIN PRIVATE")[0])


async def works(native: Native) -> None:
    async with Driver(native) as driver:
        task = await driver.create(10, 0.01)
        await driver.start(task)
        await driver.verify([task], 10)


async def test_only_clients_of_the_deployment_reach_temporal(native: Native, tmp_path: Path) -> None:
    other = certificates_of(Layout(tmp_path), ["temporal"])
    other.ensure(datetime.now(UTC))
    ours, theirs = ClientFiles.of(own(native), "operator"), ClientFiles.of(other, "operator")
    assert await reached(native, ours.config())
    assert not await reached(native, tls=False), "a client that speaks plainly"
    trusting = TLSConfig(server_root_ca_cert=ours.trusted.read_bytes())
    assert not await reached(native, trusting), "a client without certificate"
    assert not await reached(native, ClientFiles(ours.trusted, theirs.own).config()), "a certificate of another CA"
    assert not await reached(native, ClientFiles(theirs.trusted, ours.own).config()), "a server of another CA"
    await works(native)


async def test_every_session_of_its_own_postgres_is_encrypted(native: Native) -> None:
    await works(native)
    rows = await native.sql(
        "SELECT datname, bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE datname IS NOT NULL GROUP BY datname"
    )
    assert dict(rows) == {"pavo": True, "temporal": True, "temporal_visibility": True}
    assert "sslmode=verify-full" in native.state.environment["DATABASE_URL"]


async def test_its_certificates_are_told_of_and_looking_after_parts_fills_no_log(native: Native) -> None:
    status = native.versions()
    assert status["tls"]["status"] == "pass" and status["tls"]["detail"].startswith("temporal, postgres by cert")
    check = json.loads(await native.command("deploy", "check", "-o", "json"))
    assert [each["status"] for each in check["checks"] if each["name"] == "tls"] == ["pass"]
    told = json.loads(await native.command("deploy", "certificates", "-o", "json"))
    assert {each["name"] for each in told["certificates"]} == {
        *("ca", "temporal", "postgres"),
        *("temporal-ui", "api", "worker", "gateway", "operator"),
    }
    for part in ("postgres", "temporal"):
        log = (native.data_dir / "logs" / f"{part}.log").read_text()
        assert "SSL" not in log and "tls:" not in log and "TLS handshake" not in log, log[-2000:]


async def test_switched_on_later_renewed_while_it_works_and_given_a_new_ca(place: Path) -> None:
    need_temporal(NEWEST)
    async with deployed(place / "data", "--postgres", "wheel", "--workers", "1", "--no-tls") as native:
        told = json.loads(await native.command("deploy", "certificates", "-o", "json"))
        assert {each["name"] for each in told["certificates"]} == {"ca", "gateway"}, "agents are far away"
        assert await reached(native, tls=False)
        async with Driver(native) as driver:
            task = await driver.create(2_000, 0.05)
            await driver.start(task)
            await native.command("deploy", "stop")
            said = await native.command("deploy", "start", "--tls", "--auto-approve")
            assert "own CA: " in said and "postgres, redis (built without it)" in said
            await is_renewed_by_itself(native)
            await driver.stop(task)
        await works(native)
        await gets_a_new_ca(native)


async def is_renewed_by_itself(native: Native) -> None:
    """It is given certificates that are old already, and replaces them; every part takes its new one."""
    before = {part.name: part.pid for part in native.state.parts}
    old = own(native).renew(datetime.now(UTC) - timedelta(days=300))
    assert "worker" in old

    async def renewed() -> bool:
        soonest = min(each.ends for each in kept_certificates(Layout(native.data_dir)))
        return soonest > datetime.now(UTC) + timedelta(days=300)

    await until(renewed, 60, "the supervisor replaces certificates that end in two months")

    async def taken() -> bool:
        now = {part.name: part.pid for part in native.state.parts if part.state == "ready"}
        others = all(now[name] not in (None, before[name]) for name in ("api", "worker-1", "temporal-ui"))
        return others and await shown_by_temporal(native) == on_disk(native)

    await until(taken, 90, "every part has its new certificate")
    pids = {part.name: part.pid for part in native.state.parts}
    assert (pids["temporal"], pids["postgres"]) == (before["temporal"], before["postgres"]), "these are not cut"


async def gets_a_new_ca(native: Native) -> None:
    assert native.pavo("deploy", "certificates", "--new-ca", "--auto-approve", check=False).returncode == 4
    old = ClientFiles.of(own(native), "operator").config()
    assert await reached(native, old)
    await native.command("deploy", "stop")
    await native.command("deploy", "certificates", "--new-ca", "--auto-approve")
    await native.command("deploy", "start", "--auto-approve")
    assert not await reached(native, old), "what the former CA signed is worth nothing"
    await connect_to(native.state.environment)
    await works(native)
