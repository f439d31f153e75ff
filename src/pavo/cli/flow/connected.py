"""Runs of flows in PostgreSQL, as an operator has them."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.admin.operators import connected_operator
from pavo.cli.installation import find_installation
from pavo.config import Settings
from pavo.flows.runs import RunService
from pavo.kit.sql import Database

RunId = Annotated[uuid.UUID, Parameter(help="The run.")]


@dataclass(frozen=True, slots=True)
class Here:
    """What commands work with."""

    runs: RunService
    database: Database
    settings: Settings
    organisation: uuid.UUID


@asynccontextmanager
async def connected(data_dir: Path | None, org: str | None) -> AsyncGenerator[Here]:
    """An organisation's runs.

    Args:
        org: as `--org` says it.
    """
    settings = find_installation(data_dir).settings
    async with connected_operator(data_dir) as operator:
        organisation = await operator.organisation(org)
    database = Database(settings.database.url, pool_size=4)
    try:
        yield Here(RunService(database), database, settings, organisation)
    finally:
        await database.close()
