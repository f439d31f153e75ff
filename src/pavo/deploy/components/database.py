"""The PostgreSQL server in which Temporal keeps its two databases: ours or an outside one, by its URL."""

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pavo.errors import ConfigurationError

DEFAULT_PORT = 5432
ENCRYPTED = ("require", "verify-ca", "verify-full")


def with_password(url: str, password: str | None) -> str:
    """A server's URL with this password, if it has none of its own; anything else as it is."""
    place = url.partition("://")[2].partition("/")[0]
    if not password or "://" not in url or urlsplit(url).password:
        return url
    user, _, host = place.rpartition("@")
    return url.replace(f"://{place}", f"://{user.removesuffix(':')}:{quote(password, safe='')}@{host}", 1)


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
        parts = urlsplit(url)
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            port = 0
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

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        ca = f"&sslrootcert={quote(self.ca, safe='')}" if self.ca else ""
        return f"postgresql://{login}@{self.host}:{self.port}/{database}?sslmode={self.sslmode}{ca}"
