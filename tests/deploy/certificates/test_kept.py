"""A deployment's own CA and its parts' certificates: what they are good for, how long, and who is refused."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pavo.deploy.certificates.judge import EMBEDDED, judge_tls
from pavo.deploy.certificates.kept import (
    RENEW_BEFORE,
    TELL_AUTHORITY_BEFORE,
    TELL_BEFORE,
    Certificates,
    kept_certificates,
)
from pavo.deploy.certificates.parts import certificates_of
from pavo.deploy.local.components.postgres_programs import speaks_tls, wheel_postgres
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def own(tmp_path: Path) -> Certificates:
    return made(tmp_path / "one")


def made(root: Path, now: datetime = NOW) -> Certificates:
    root.mkdir(exist_ok=True)
    found = certificates_of(Layout(root), ["temporal", "postgres"])
    found.ensure(now)
    return found


def ends(root: Path) -> dict[str, datetime]:
    return {each.name: each.ends for each in kept_certificates(Layout(root))}


def serials(root: Path) -> dict[str, int]:
    return {each.name: each.serial for each in kept_certificates(Layout(root))}


def greet(server: Certificates, client: Certificates | None, *, trusts: Certificates, name: str = "temporal") -> str:
    """What a client is told by a server that wants its certificate, over loopback: `hello`, or an error."""
    at_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_server.load_cert_chain(server.of("temporal"))
    at_server.load_verify_locations(server.trusted)
    at_server.verify_mode = ssl.CERT_REQUIRED
    at_client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    at_client.load_verify_locations(trusts.trusted)
    if client is not None:
        at_client.load_cert_chain(client.of("worker"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                with at_server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                    connection.sendall(b"hello")
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=5) as plain,
                at_client.wrap_socket(plain, server_hostname=name) as connection,
            ):
                return connection.recv(5).decode() or "nothing"
        except OSError as error:
            return str(error)
        finally:
            thread.join()


@pytest.mark.parametrize("name", ["temporal", "127.0.0.1", "localhost"])
def test_parts_of_one_deployment_know_each_other(own: Certificates, name: str) -> None:
    assert greet(own, own, trusts=own, name=name) == "hello"


def test_whoever_shows_no_certificate_or_that_of_another_deployment_is_refused(
    own: Certificates, tmp_path: Path
) -> None:
    other = made(tmp_path / "two")
    assert "certificate required" in greet(own, None, trusts=own).lower().replace("_", " ")
    assert "unknown ca" in greet(own, other, trusts=own).lower().replace("_", " ")


def test_a_server_of_another_deployment_or_another_name_is_not_believed(own: Certificates, tmp_path: Path) -> None:
    other = made(tmp_path / "two")
    assert "verify failed" in greet(other, own, trusts=own)
    assert "verify failed" in greet(own, own, trusts=own, name="postgres")


def test_only_the_owner_may_read_them(own: Certificates) -> None:
    assert own.folder.stat().st_mode & 0o777 == 0o700
    files = sorted(file for file in own.folder.iterdir())
    assert {"ca.key", "ca.pem", "worker.pem"} <= {file.name for file in files}
    assert [file.name for file in files if file.stat().st_mode & 0o777 != 0o600] == []


def test_they_are_renewed_long_before_they_end_and_not_earlier(own: Certificates, tmp_path: Path) -> None:
    root = tmp_path / "one"
    before = serials(root)
    end = ends(root)["worker"]
    assert own.ensure(end - RENEW_BEFORE - DAY) == [] and serials(root) == before
    renewed = own.ensure(end - RENEW_BEFORE + DAY)
    assert sorted(renewed) == sorted(before.keys() - {"ca"})
    assert ends(root)["worker"] > end and serials(root)["ca"] == before["ca"]
    assert RENEW_BEFORE > TELL_BEFORE, "what is renewed by itself is not told of before"


def test_none_outlives_its_authority(own: Certificates, tmp_path: Path) -> None:
    root = tmp_path / "one"
    last = ends(root)["ca"]
    assert own.ensure(last - 30 * DAY)
    assert set(ends(root).values()) == {last}
    assert own.ensure(last - 29 * DAY) == [], "a longer one cannot be had"


def test_a_new_authority_signs_everything_anew_and_the_old_is_worth_nothing(own: Certificates, tmp_path: Path) -> None:
    root = tmp_path / "one"
    old = Layout(tmp_path / "old")
    old.root.mkdir()
    own.folder.rename(old.root / "tls")
    own = made(root)
    kept = certificates_of(old, ["temporal", "postgres"])
    before = serials(root)
    assert len(own.replace_authority(NOW)) == len(before) - 1
    assert not serials(root).items() & before.items()
    assert greet(own, own, trusts=own) == "hello"
    assert "unknown ca" in greet(own, kept, trusts=own).lower().replace("_", " ")


def test_a_part_that_is_broken_or_lost_is_signed_again_and_a_lost_key_of_the_authority_is_told(
    own: Certificates, tmp_path: Path
) -> None:
    own.of("worker").write_text("garbage")
    own.of("api").unlink()
    assert sorted(own.ensure(NOW)) == ["api", "worker"]
    assert greet(own, own, trusts=own) == "hello"
    (own.folder / "ca.key").unlink()
    with pytest.raises(ConfigurationError, match=r"ca\.key") as refusal:
        own.renew(NOW)
    assert "--new-ca" in (refusal.value.remedy or "")
    assert own.replace_authority(NOW) and greet(own, own, trusts=own) == "hello"


def deployed(root: Path, *, tls: bool) -> Layout:
    layout = Layout(root)
    parts = ["temporal"] if tls else []
    deployment.save(layout, Deployment(target=TargetName.NATIVE, tls=tls, tls_parts=parts))
    return layout


def test_how_parts_speak_and_when_it_ends_is_told(own: Certificates, tmp_path: Path) -> None:
    layout = deployed(tmp_path / "one", tls=True)
    end = ends(layout.root)["worker"]

    def judged(now: datetime) -> tuple[str, str]:
        found = judge_tls(layout, now)
        assert found is not None and (found.status == "pass" or found.remedy)
        return found.status, found.detail

    status, said = judged(end - TELL_BEFORE - DAY)
    assert status == "pass" and f"{end:%Y-%m-%d}" in said and said.startswith("temporal by certificates")
    status, said = judged(end - 2 * DAY)
    assert status == "warn" and "worker ends on" in said and "in 2 days" in said
    status, said = judged(end + DAY)
    assert status == "fail" and "worker ended on" in said
    own.ensure(end)
    status, said = judged(ends(layout.root)["ca"] - TELL_AUTHORITY_BEFORE + DAY)
    assert status == "fail" and "ca ends on" in said


def test_a_deployment_from_before_goes_on_without_and_is_told_how_to_switch_it_on(tmp_path: Path) -> None:
    layout = deployed(tmp_path, tls=False)
    text = deployment.path(layout).read_text()
    assert "tls" not in text, "an older supervisor refuses fields that it does not know"
    kept = deployment.load(layout)
    assert kept is not None and not kept.tls
    found = judge_tls(layout, NOW)
    assert found is not None and found.status == "warn" and "start --tls" in (found.remedy or "")


def test_the_embedded_target_says_why_it_has_none(tmp_path: Path) -> None:
    found = judge_tls(Layout(tmp_path), NOW)
    assert found is not None and found.status == "pass" and found.detail == EMBEDDED
    assert not speaks_tls(wheel_postgres(), unprivileged()), "the wheel's PostgreSQL can, so it should"
