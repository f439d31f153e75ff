"""What was chosen for a data directory: the target, its versions, its sources. It is remembered, and read again at each
start of a part, so that an upgrade is a change of this file and a restart of one part."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.layout import Layout, write_private
from pavo.errors import ConfigurationError


class TargetName(StrEnum):
    """Where Pavo runs."""

    EMBEDDED = "embedded"
    NATIVE = "native"
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"


class Deployment(BaseModel):
    """One deployment, as people chose it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: TargetName
    temporal_version: str = Field(default_factory=lambda: matrix().pins.temporal)
    temporal_bin: Path | None = None
    """A folder with temporal-server and temporal-sql-tool; else they are looked for, or built."""
    temporal_ui: bool = True
    postgres: str = "wheel"
    """`wheel`, `machine` (the newest installed), a folder with bin/, or the URL of an outside server."""
    postgres_version: str = ""
    """Of the running server; empty before the first start."""
    redis: str = "wheel"
    """`wheel`, or the URL of an outside server."""
    port: int = Field(default=8000, ge=1, le=65_535)
    workers: int = Field(default=2, ge=1, le=256)
    apis: int = Field(default=1, ge=1, le=64)
    allow_file_origin: bool = False
    shards: int = Field(default=64, ge=1, le=16_384)
    """Of Temporal's history: fixed for the life of the data."""
    retention_days: int = Field(default=30, ge=1)
    ports: dict[str, int] = Field(default_factory=dict[str, int])
    """Where the parts listen, chosen at the first start."""
    forced: list[str] = Field(default_factory=list[str])
    """What the version matrix called bad and somebody forced."""
    tls: bool = False
    """Whether those parts that can speak TLS with each other, by certificates of the deployment's own authority. A file
    from before says nothing of it, and means no."""
    tls_parts: list[str] = Field(default_factory=list[str])
    """The servers that speak it: which can, is seen at each start."""
    worker_build: str = ""
    """The build id that new workers carry; empty for workers without versions."""
    copying: list[str] = Field(default_factory=list[str])
    """Databases that a restore is copying beside the old ones, undecided yet: see `local/dumps/unfinished_restore`."""
    restoring: list[str] = Field(default_factory=list[str])
    """Databases whose restored copies have yet to take their places: see `local/dumps/unfinished_restore`."""

    @property
    def outside_postgres(self) -> bool:
        """Whether PostgreSQL is somebody else's."""
        return "://" in self.postgres

    @property
    def outside_redis(self) -> bool:
        """Whether Redis is somebody else's."""
        return "://" in self.redis


def path(layout: Layout) -> Path:
    """The file of a data directory; private, for it may hold URLs with passwords."""
    return layout.root / "deployment.json"


def load(layout: Layout) -> Deployment | None:
    """What was chosen; None before the first start.

    Raises:
        ConfigurationError: the file is broken.
    """
    try:
        return Deployment.model_validate_json(path(layout).read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, PermissionError) as error:
        raise ConfigurationError(
            f"{path(layout)} cannot be read: {' '.join(str(error).split())[:300]}",
            field="--data-dir",
            remedy="Use the data directory of your own deployment, or mend the file.",
        ) from error


def save(layout: Layout, chosen: Deployment) -> None:
    """Remember what was chosen; the file is replaced as a whole.

    The fields of a restore, and of TLS, are left out while there is none: an older supervisor that still runs refuses
    unknown fields.
    """
    absent = {name for name in ("copying", "restoring", "tls", "tls_parts") if not getattr(chosen, name)}
    write_private(path(layout), chosen.model_dump_json(indent=1, exclude=absent))
