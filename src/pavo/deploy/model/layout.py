"""Where a stack keeps its files, and the secrets it generated for itself."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The data directory of one stack."""

    root: Path

    @property
    def logs(self) -> Path:
        """One file a part."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """The log of one part."""
        return self.logs / f"{name}.log"

    @property
    def state(self) -> Path:
        """The one state file."""
        return self.root / "state.json"

    @property
    def temporal_file(self) -> Path:
        """In which Temporal's development server keeps its data (embedded target)."""
        return self.root / "temporal" / "temporal.db"

    @property
    def worker_ends(self) -> Path:
        """How workers ended, for those that go on with their work (see `runs/worker_ends`)."""
        return self.root / "worker-ends.json"

    @property
    def lock(self) -> Path:
        """Locked by the supervisor while it runs."""
        return self.root / "lock"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords of the stores and the key of session cookies."""

    postgres: str
    redis: str
    session_key: str


def load_secrets(layout: Layout) -> Secrets:
    """Read the stack's secrets; generate them at the first start."""
    path = layout.root / "secrets.json"
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    made = Secrets(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
    write_private(path, json.dumps(asdict(made)))
    return made


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; only the owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def default_data_dir() -> Path:
    """$PAVO_DATA_DIR, else /var/lib/pavo/default for root and ~/.local/share/pavo for others."""
    chosen = os.environ.get("PAVO_DATA_DIR")
    if chosen:
        return Path(chosen).absolute()
    return Path("/var/lib/pavo/default") if os.geteuid() == 0 else Path.home() / ".local/share/pavo"
