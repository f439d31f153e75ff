"""The certificates that a deployment keeps: its authority's and one for each part, in `tls/` of its data directory.

`ca.pem` is what the parts trust, `ca.key` signs, and each part has one file with its certificate and its key, so that a
server that reads it while it is replaced never sees two halves. The folder is of mode 0700, every file of 0600.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pavo.deploy.model.layout import Layout, write_private
from pavo.errors import ConfigurationError

if TYPE_CHECKING:
    from pavo.deploy.certificates.authority import Signed

RENEW_BEFORE: Final = timedelta(days=120)
"""A part's certificate is replaced when so much of its year is left."""
TELL_BEFORE: Final = timedelta(days=60)
"""One that is still there so late was not replaced: people are told."""
TELL_AUTHORITY_BEFORE: Final = timedelta(days=400)
"""No certificate outlives its authority: from then on renewed ones get shorter."""
AUTHORITY: Final = "ca"
OPERATOR: Final = "operator"
"""Who works on a deployment with `pavo`; no part of the stack."""


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """What people are told of one."""

    name: str
    """The part's, `operator`, or `ca`."""
    ends: datetime
    serial: int


class Certificates:
    """Those of one deployment.

    Args:
        hosts: the names and addresses of each part; which parts there are.
    """

    def __init__(self, layout: Layout, hosts: Mapping[str, Sequence[str]]) -> None:
        self._root, self._hosts = layout.root, hosts
        self.folder = folder_of(layout)

    @property
    def parts(self) -> Collection[str]:
        """Whose there are."""
        return self._hosts.keys()

    @property
    def trusted(self) -> Path:
        """The authority's certificate, which servers and clients trust."""
        return self.folder / "ca.pem"

    @property
    def _authority_key(self) -> Path:
        return self.folder / "ca.key"

    def of(self, part: str) -> Path:
        """A part's certificate and its key."""
        return self.folder / f"{part}.pem"

    def ensure(self, now: datetime) -> list[str]:
        """Make what is missing, and renew what ends soon or is of another authority; answers the parts' names.

        Raises:
            ConfigurationError: a file cannot be read or written.
        """
        with self._alone():
            authority = self._authority(now)
            return [part for part in self._hosts if self._renewed(part, authority, now, always=False)]

    def renew(self, now: datetime) -> list[str]:
        """Replace the parts' certificates, whatever is left of them; answers the parts' names.

        Raises:
            ConfigurationError: a file cannot be read or written.
        """
        with self._alone():
            authority = self._authority(now)
            return [part for part in self._hosts if self._renewed(part, authority, now, always=True)]

    def replace_authority(self, now: datetime) -> list[str]:
        """Forget the authority and everything that it signed, and begin with a new one; only while nothing runs.

        Raises:
            ConfigurationError: a file cannot be written.
        """
        with self._alone():
            self.trusted.unlink(missing_ok=True)
        return self.ensure(now)

    def remove(self) -> None:
        """Forget them, with the deployment."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _renewed(self, part: str, authority: "Signed", now: datetime, *, always: bool) -> bool:
        from pavo.deploy.certificates.authority import sign

        if not always and self._is_good(part, authority, now):
            return False
        signed = sign(authority, part, self._hosts[part], now)
        write_private(self.of(part), signed.certificate_pem + signed.key_pem)
        return True

    def _is_good(self, part: str, authority: "Signed", now: datetime) -> bool:
        from pavo.deploy.certificates.authority import Signed, hosts_of, is_signed_by

        try:
            pem = self.of(part).read_bytes()
            kept = Signed.of_pem(pem, pem).certificate
        except FileNotFoundError:
            return False
        except ValueError:  # whatever was done to it, another one is signed at once
            return False
        longest = min(now + RENEW_BEFORE, authority.certificate.not_valid_after_utc)
        return (
            kept.not_valid_after_utc >= longest
            and is_signed_by(kept, authority.certificate)
            and hosts_of(kept) == set(self._hosts[part])
        )

    def _authority(self, now: datetime) -> "Signed":
        """The one that is kept; made where there is none. Its key comes first: who dies in between begins anew."""
        from pavo.deploy.certificates.authority import Signed, new_authority

        if not self.trusted.exists():
            made = new_authority(f"Pavo deployment {self._root.name} {now:%Y-%m-%d %H:%M}", now)
            write_private(self._authority_key, made.key_pem)
            write_private(self.trusted, made.certificate_pem)
            return made
        try:
            return Signed.of_pem(self.trusted.read_bytes(), self._authority_key.read_bytes())
        except (OSError, ValueError) as error:
            raise _broken(self.folder, error) from error

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """A running supervisor renews too."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            place = self.folder / "lock"
            place.touch(mode=0o600)
            with place.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise _broken(self.folder, error) from error


def folder_of(layout: Layout) -> Path:
    """Where a deployment keeps them."""
    return layout.root / "tls"


def kept_certificates(layout: Layout) -> list[KeptCertificate]:
    """All that are kept, the authority's first; empty where there are none.

    Raises:
        ConfigurationError: one cannot be read.
    """
    from cryptography import x509

    folder = folder_of(layout)
    files = sorted(folder.glob("[!.]*.pem"), key=lambda file: (file.stem != AUTHORITY, file.stem))
    found: list[KeptCertificate] = []
    for file in files:
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError) as error:
            raise _broken(folder, error) from error
        found.append(KeptCertificate(file.stem, certificate.not_valid_after_utc, certificate.serial_number))
    return found


def ending(found: Sequence[KeptCertificate], now: datetime) -> list[KeptCertificate]:
    """Those of which people should hear: they end soon, or have ended."""
    return [
        each for each in found if each.ends - now < (TELL_AUTHORITY_BEFORE if each.name == AUTHORITY else TELL_BEFORE)
    ]


def _broken(folder: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"The deployment's certificates in {folder} cannot be used: {error}.",
        field="--data-dir",
        remedy="Put the files back; or stop the deployment and have it make new ones: pavo deploy certificates "
        "--new-ca",
    )
