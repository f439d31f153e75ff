"""A certificate authority and the certificates that it signs: keys on the curve P-256, X.509 version 3, PEM.

Import this where it is needed: its library takes a while, and most commands sign nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = timedelta(days=3650)
"""Replacing it takes a stop and a start of the deployment, so it outlives most."""
PART_LIFE: Final = timedelta(days=365)
"""Short enough that renewal is seen to work, long enough that one that fails is told of for months."""
BEFORE: Final = timedelta(hours=1)
"""Certificates hold since then already: clocks differ."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key alone, PKCS #8, not encrypted."""
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, none).decode()

    @classmethod
    def of_pem(cls, certificate: bytes, key: bytes) -> "Signed":
        """From the two texts; each may hold both.

        Raises:
            ValueError: one of them is not there, or the key is of another certificate or another kind.
        """
        found = cls(x509.load_pem_x509_certificate(certificate), _private_key(key))
        if found.certificate.public_key() != found.key.public_key():
            raise ValueError("the key is of another certificate")
        return found


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    begin = pem.find(b"-----BEGIN PRIVATE KEY-----")  # the library reads the first block of a file only
    key = serialization.load_pem_private_key(pem[max(begin, 0) :], password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is of another kind")
    return key


def new_authority(name: str, now: datetime) -> Signed:
    """An authority that signs itself, and may sign no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = _builder(subject, subject, key.public_key(), now, now + AUTHORITY_LIFE)
    signed = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Signed(signed, key)


def sign(authority: Signed, part: str, hosts: Sequence[str], now: datetime) -> Signed:
    """A certificate for one part, which it shows as a server and as a client.

    Args:
        part: its common name.
        hosts: the names and addresses by which clients reach it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    end = min(now + PART_LIFE, issuer.not_valid_after_utc)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    signed = (
        _builder(_named(part), issuer.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(uses, critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
        .add_extension(signed_by, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Signed(signed, key)


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether this authority signed it, whatever the dates say."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that it is good for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    return addresses | set(found.get_values_for_type(x509.DNSName))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
