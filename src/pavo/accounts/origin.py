"""Which web pages may talk to the API: pure rules over a request's headers, no framework.

Browsers let any page send requests to any address, loopback included; only what they write into Host, Origin and
Sec-Fetch-* tells a foreign page from one's own. Sources: Fetch (origin header, CORS), Fetch Metadata, RFC 6454.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from pavo.config import HttpSettings
from pavo.errors import ConfigurationError, Forbidden

Authority: TypeAlias = tuple[str, int]
"""A host in lower case and its port."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_COOKIE: Final = "pavo_session"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Load balancers, kubelets and Prometheus ask these by address instead of name; the answers tell nothing about
anybody."""
DECODE: Final = "/api/codec/decode"
"""Decrypts payloads for whoever has its token; Temporal's own UI asks it, which is another web page."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


FOREIGN_IN_DEV: Final = (
    "Use the page that Pavo itself serves, or name that page's origin in PAVO_CORS_ORIGINS, with PAVO_AUTH=token."
)
"""What to do where another page's request is refused in dev mode, in which no list of origins could be kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the rules need of a request. Header texts are None where the header is absent."""

    method: str
    path: str
    scheme: str
    host: str | None
    origin: str | None
    fetch_site: str | None = None
    fetch_mode: str | None = None
    fetch_dest: str | None = None
    bearer: bool = False
    """Whether it carries `Authorization: Bearer`, which no foreign page can add without being asked first."""
    session: bool = False
    """Whether it carries a session cookie, which a browser adds by itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The request may pass. `cors_origin`: the other page that may read the answer, or None."""

    cors_origin: str | None = None
    credentials: bool = False
    """Whether that page's requests may carry cookies."""


@lru_cache(maxsize=256)
def authority(host: str | None, scheme: str) -> Authority | None:
    """Read a Host header; None if it is absent or malformed."""
    matched = _HOST.fullmatch((host or "").lower())
    if matched is None:
        return None
    port = int(matched["port"]) if matched["port"] else DEFAULT_PORTS.get(scheme, 80)
    return matched["name"], port


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a name can mean only this machine: localhost, 127.0.0.0/8 or ::1 (also in brackets)."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def parse_origin(origin: str) -> tuple[str, Authority] | None:
    """An Origin header as scheme and authority; None for `null` and for anything malformed."""
    scheme, separator, rest = origin.lower().partition("://")
    where = authority(rest, scheme)
    if not separator or scheme not in DEFAULT_PORTS or where is None:
        return None
    return scheme, where


def split_list(text: str) -> tuple[str, ...]:
    """The entries of a setting that is a list separated by commas."""
    return tuple(entry.strip().lower() for entry in text.split(",") if entry.strip())


class BrowserRules:
    """The rules of one listener, read from its settings once.

    Raises:
        ConfigurationError: PAVO_CORS_ORIGINS holds what is no origin.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._dev = settings.auth == "dev"
        self._file_origin = self._dev and settings.allow_file_origin
        self._allowed = frozenset(_configured_origin(entry) for entry in split_list(settings.cors_origins))
        self._public = frozenset(split_list(settings.public_hosts))
        self._temporal_ui = _origin_of(settings.temporal_ui or "")

    def judge(self, call: Call) -> Verdict:
        """Let the request pass, or refuse it.

        Raises:
            Forbidden: Host is none that is served here, or a foreign web page is asking.
        """
        return self._judge_dev(call) if self._dev else self._judge_token(call)

    def _judge_dev(self, call: Call) -> Verdict:
        where = authority(call.host, call.scheme)
        if where is None or not is_loopback(where[0]):
            raise Forbidden(
                "In dev mode only this machine's own names are served, so that no foreign name that points here can "
                "read your data.",
                field="Host",
                remedy="Open http://localhost:PORT, or use PAVO_AUTH=token to be served under other names.",
            )
        if self._is_temporal_ui(call):
            return Verdict(call.origin, credentials=True)
        if call.origin is None:
            self._judge_without_origin(call)
            return Verdict()
        if _is_own(call, where, exact=True):
            return Verdict()
        if call.origin == "null" and self._file_origin:
            return Verdict("null")
        remedy = FOREIGN_IN_DEV
        if call.origin == "null":
            remedy = "For a page opened from disk start with: pavo up --allow-file-origin"
        raise Forbidden("Another web page may not use this API in dev mode.", field="Origin", remedy=remedy)

    @staticmethod
    def _judge_without_origin(call: Call) -> None:
        """Browsers leave Origin out of plain GETs (images, scripts, links), but say where these come from."""
        if call.fetch_site in (None, "same-origin", "none"):
            return
        follows_link = call.fetch_mode == "navigate" and call.fetch_dest == "document" and call.method in SAFE_METHODS
        if follows_link and not call.path.startswith("/api/"):
            return
        raise Forbidden(
            "Another web page may not use this API in dev mode.", field="Sec-Fetch-Site", remedy=FOREIGN_IN_DEV
        )

    def _judge_token(self, call: Call) -> Verdict:
        where = authority(call.host, call.scheme)
        if self._public and call.path not in PROBES and not self._is_public(call, where):
            raise Forbidden("This host name is not served here.", field="Host", remedy="See PAVO_PUBLIC_HOSTS.")
        if self._is_temporal_ui(call):
            return Verdict(call.origin, credentials=True)
        own = where is not None and _is_own(call, where, exact=False)
        allowed = call.origin is not None and parse_origin(call.origin) in self._allowed
        if not own and not allowed:
            self._judge_foreign(call)
        return Verdict(call.origin, credentials=True) if allowed and not own else Verdict()

    def _is_temporal_ui(self, call: Call) -> bool:
        """With credentials, for a proxy in front may want a cookie of its own; `DECODE` itself looks at none."""
        asks = call.path == DECODE and self._temporal_ui is not None and call.origin is not None
        return asks and parse_origin(call.origin or "") == self._temporal_ui

    def _is_public(self, call: Call, where: Authority | None) -> bool:
        return where is not None and (where[0] in self._public or (call.host or "").lower() in self._public)

    @staticmethod
    def _judge_foreign(call: Call) -> None:
        """Origin is absent or foreign: then a cookie alone allows nothing, and no session may be opened."""
        writes = call.method not in SAFE_METHODS and not call.bearer
        preflight = call.method == "OPTIONS" and call.origin is not None
        if preflight or (writes and (call.session or call.origin is not None)):
            raise Forbidden(
                "Another web page may not use this API, and a write by cookie must name its Origin.",
                field="Origin",
                remedy="Add the page's origin to PAVO_CORS_ORIGINS, or send Authorization: Bearer.",
            )


def _is_own(call: Call, where: Authority, *, exact: bool) -> bool:
    """Whether Origin is the very server that is asked.

    Behind a proxy that ends TLS the server sees http where the page has https; unless `exact`, that is the same.
    """
    parsed = parse_origin(call.origin) if call.origin is not None else None
    if parsed is None:
        return False
    scheme, at = parsed
    if scheme == call.scheme:
        return at == where
    return not exact and scheme == "https" and at == authority(call.host, "https")


def _origin_of(url: str) -> tuple[str, Authority] | None:
    """The origin of the pages at an address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parse_origin(f"{parts.scheme}://{parts.netloc}")


def _configured_origin(entry: str) -> tuple[str, Authority]:
    parsed = parse_origin(entry)
    if parsed is None or urlsplit(entry).path:
        raise ConfigurationError(
            f"PAVO_CORS_ORIGINS: {entry!r} is no origin.",
            field="PAVO_CORS_ORIGINS",
            remedy="List origins like https://app.example.com, without a path; * cannot be allowed.",
        )
    return parsed


def check_listener(settings: HttpSettings) -> None:
    """Refuse to listen where the mode of authentication protects nobody.

    Raises:
        ConfigurationError: dev mode on an address that others can reach, token mode without a secret key of 32
            characters, or a list of origins that holds something else.
    """
    BrowserRules(settings)
    if settings.auth == "dev" and not is_loopback(settings.host.lower()):
        raise ConfigurationError(
            f"PAVO_AUTH=dev lets anybody be anybody, so it may not listen on {settings.host}, where others reach it.",
            field="PAVO_HOST",
            remedy="Set PAVO_AUTH=token and PAVO_SECRET_KEY to serve others, or PAVO_HOST=127.0.0.1 for yourself.",
        )
    secret = settings.secret_key.get_secret_value() if settings.secret_key is not None else ""
    if settings.auth == "token" and len(secret) < 32:
        raise ConfigurationError(
            "PAVO_AUTH=token needs PAVO_SECRET_KEY, a secret of at least 32 characters that signs session cookies.",
            field="PAVO_SECRET_KEY",
            remedy='Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"',
        )
