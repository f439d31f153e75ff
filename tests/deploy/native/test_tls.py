"""An outside PostgreSQL that is reached encrypted and proven by every part."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pavo.deploy.backups.prove_backup import scratch_server
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.postgres_programs import find_postgres
from pavo.deploy.local.machine.privileges import unprivileged
from tests.deploy.native.conftest import need_installed_postgres, need_temporal
from tests.deploy.native.stack import NEWEST, deployed

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]


def certificate(folder: Path) -> Path:
    """A key and a certificate signed by itself for 127.0.0.1, readable for the server alone; the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pavo test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    folder.chmod(0o755)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)
    (folder / "server.key").chmod(0o600)
    (folder / "server.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    runner = unprivileged()
    if runner.uid is not None:
        os.chown(folder / "server.key", runner.uid, -1)
    return folder / "server.crt"


async def test_every_part_speaks_tls_and_proves_the_server(place: Path) -> None:
    need_temporal(NEWEST)
    need_installed_postgres()
    trusted = certificate(place / "tls")
    (place / "outside").mkdir()
    async with scratch_server(place / "outside", find_postgres("machine")) as server:
        with maintenance_connection(server, "postgres") as connection:
            connection.execute(f"ALTER SYSTEM SET ssl_cert_file = '{trusted}'")
            connection.execute(f"ALTER SYSTEM SET ssl_key_file = '{trusted.with_name('server.key')}'")
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        url = server.url("postgres").replace("disable", f"verify-full&sslrootcert={trusted}")
        options = ("--postgres", url, "--workers", "1", "--no-temporal-ui")
        async with deployed(place / "data", *options) as native:
            await native.command("validate")
            await native.command("deploy", "backup", "--no-verify")
            with maintenance_connection(server, "postgres") as connection:
                rows = connection.execute(
                    "SELECT datname, bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                    " WHERE datname <> 'postgres' GROUP BY datname"
                ).fetchall()
            assert dict(rows) == {"pavo": True, "temporal": True, "temporal_visibility": True}
            await asyncio.to_thread(native.pavo, "deploy", "stop")
