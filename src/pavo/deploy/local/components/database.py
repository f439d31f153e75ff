"""The PostgreSQL server with Pavo's database and Temporal's two, ours or an outside one: its URL and its login."""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from pavo.errors import ConfigurationError

DEFAULT_PORT = 5432
REDIS_PORT = 6379
ENCRYPTED = ("require", "verify-ca", "verify-full")


def split_url(url: str, field: str) -> SplitResult:
    """A server's URL in its pieces.

    Args:
        field: the option that it was given with.

    Raises:
        ConfigurationError: it is no URL. The message does not show it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its words may show the password
        raise ConfigurationError(
            "This is not the URL of a server.",
            field=field,
            remedy="Write it as SCHEME://USER:PASSWORD@HOST:PORT/NAME: an IPv6 address in brackets; in the password "
            "/, ?, #, [ and ] as %2F, %3F, %23, %5B and %5D.",
        ) from None
    return parts


def with_password(url: str, password: str | None, field: str = "--postgres") -> str:
    """A server's URL with this password, if it has none of its own; anything else as it is.

    Raises:
        ConfigurationError: it is no URL.
    """
    if "://" not in url:
        return url
    parts = split_url(url, field)
    if not password or parts.password:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.removesuffix(':')}:{quote(password, safe='')}@{host}").geturl()


def password_of(kept: str, url: str, field: str) -> str | None:
    """The password that was kept, where its URL is of the same server and user as this one.

    Raises:
        ConfigurationError: one of them is no URL.
    """
    if "://" not in kept or "://" not in url:
        return None
    old, new = split_url(kept, field), split_url(url, field)
    return unquote(old.password) if old.password and _login(old) == _login(new) else None


def _login(parts: SplitResult) -> tuple[str | None, int, str]:
    default = DEFAULT_PORT if parts.scheme.startswith("postgres") else REDIS_PORT
    return parts.hostname, parts.port or default, parts.username or ""


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """How to log in; `sslmode` in libpq's words."""

    host: str
    port: int
    user: str
    password: str
    sslmode: str = "prefer"
    ca: str = ""
    """File of the authority that signed the server's certificate (libpq's sslrootcert); empty: the system's."""

    @classmethod
    def of(cls, url: str) -> "DatabaseServer":
        """From a URL; its database's name does not matter.

        Raises:
            ConfigurationError: it is no PostgreSQL URL with a host and a user.
        """
        parts = split_url(url, "--postgres")
        port = DEFAULT_PORT if parts.port is None else parts.port
        if not parts.scheme.startswith("postgres") or not parts.hostname or not parts.username or not port:
            raise ConfigurationError(
                "This is not the URL of a PostgreSQL server.",
                field="--postgres",
                remedy="Write it as postgresql://USER:PASSWORD@HOST:PORT/postgres; the user must be allowed to create "
                "databases, or pavo, temporal and temporal_visibility must be there and belong to it.",
            )
        query = parse_qs(parts.query)
        sslmode, ca = query.get("sslmode", ["prefer"])[0], query.get("sslrootcert", [""])[0]
        return cls(parts.hostname, port, unquote(parts.username), unquote(parts.password or ""), sslmode, ca)

    @property
    def encrypted(self) -> bool:
        """Whether the connection must be encrypted."""
        return self.sslmode in ENCRYPTED

    @property
    def address(self) -> str:
        """`HOST:PORT`; an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        ca = f"&sslrootcert={quote(self.ca, safe='')}" if self.ca else ""
        return f"postgresql://{login}@{self.address}/{database}?sslmode={self.sslmode}{ca}"


def migrate_pavo(url: str) -> None:
    """Bring Pavo's schema in a database up to date; on a thread.

    Its library is imported here: that takes long, and the stores start meanwhile.
    """
    from pavo.kit.migrate import upgrade

    upgrade(url)
