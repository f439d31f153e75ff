"""The options of `pavo deploy start` that are remembered for the next start."""

import os
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter
from pydantic import ValidationError

from pavo.deploy.local.components.database import password_of, with_password
from pavo.deploy.model.compatibility import parse
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.errors import InvalidInput

PASSWORDS = {"postgres": "PGPASSWORD", "redis": "REDISCLI_AUTH"}
"""Where a URL's password may come from instead: the variables of PostgreSQL's and Redis' own clients; else the one that
was remembered for the same server and user."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What is remembered for the next start."""

    target: TargetName | None = None
    """embedded, native, compose or kubernetes; default: the remembered one."""
    temporal_version: str | None = None
    """of Temporal's server; default: the pinned one (pavo deploy versions)."""
    temporal_bin: Path | None = None
    """a folder with temporal-server and temporal-sql-tool of that version."""
    temporal_ui: bool | None = None
    """also run Temporal's own web UI."""
    postgres: str | None = None
    """wheel, machine (the newest installed), a folder with bin/postgres, or the URL of a server. Its password may come
    from PGPASSWORD, where the process list does not show it."""
    redis: str | None = None
    """wheel, or the URL of a server; its password may come from REDISCLI_AUTH."""
    port: int | None = None
    """of the API."""
    workers: int | None = None
    """how many worker processes."""
    apis: int | None = None
    """how many API processes, which share the port (Linux)."""
    shards: int | None = None
    """of Temporal's history; never to be changed afterwards."""
    retention_days: int | None = None
    """for how long Temporal keeps closed workflows."""

    tls: bool | None = None
    """native and compose: TLS between the parts, by certificates of a CA that the deployment makes and keeps; default:
    on for a new native deployment."""

    def over(self, kept: Deployment | None) -> Deployment:
        """What was remembered, overridden by the options that were given.

        Raises:
            InvalidInput: no target is named, or a value is not possible.
            ConfigurationError: a value looks like a URL and is none.
        """
        given = {name: getattr(self, name) for name in self.__slots__}
        given = {name: value for name, value in given.items() if value is not None}
        for name, variable in PASSWORDS.items():
            if name in given:
                remembered = password_of(getattr(kept, name), given[name], f"--{name}") if kept else None
                given[name] = with_password(given[name], os.environ.get(variable) or remembered, f"--{name}")
        if self.temporal_bin is not None:
            given["temporal_bin"] = self.temporal_bin.absolute()
        if kept is None and self.target is None:
            raise InvalidInput(
                "Nothing was deployed here yet, so the target must be named.",
                field="--target",
                remedy=f"Pass one of {', '.join(TargetName)}.",
            )
        if kept is None and self.target is TargetName.NATIVE:
            given.setdefault("tls", True)
        try:
            chosen = Deployment.model_validate({**(kept.model_dump() if kept else {}), **given})
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0]).replace("_", "-") if first["loc"] else "target"
            raise InvalidInput(
                f"{first['msg']}.", field=f"--{field}", remedy="See pavo deploy start --help."
            ) from error
        parse(chosen.temporal_version)
        return chosen
