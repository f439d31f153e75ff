"""What an operator's commands share: they work on the database itself, without the API."""

import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo import config
from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.accounts.service import AccountsService
from pavo.config import Settings
from pavo.corpus.service import CorpusService
from pavo.deploy.local.deployed_settings import settings_of
from pavo.deploy.model import state
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError, InvalidInput
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.kit.sql import Database
from pavo.llm.named.service import EndpointService
from pavo.webhooks.service import WebhookService

OrganisationName = Annotated[
    str | None,
    Parameter(
        name="--org",
        help="The organisation: its id, its name, or a user whose home it is. "
        "Default: in dev mode that of the default user, else the only one.",
    ),
]
DataDir = Annotated[Path | None, Parameter(name="--data-dir", help="The embedded stack that is meant.")]


@dataclass(frozen=True, slots=True)
class Operator:
    """The services that an operator's commands call, on one database."""

    accounts: AccountsService
    corpus: CorpusService
    webhooks: WebhookService
    secrets: SecretService
    endpoints: EndpointService
    agent_tokens: AgentTokenService

    async def organisation(self, reference: str | None) -> uuid.UUID:
        """The organisation that is meant: the one named, else in dev mode the default user's, else the only one."""
        if reference is not None:
            return await self.accounts.organisation_named(reference)
        if self.accounts.mode == "dev":
            return (await self.accounts.default_identity()).organisation_id
        found = await self.accounts.organisations()
        if len(found) == 1:
            return found[0].id
        raise InvalidInput(
            f"There are {len(found)} organisations.", field="--org", remedy="Name one with --org; see: pavo org list"
        )


@asynccontextmanager
async def connected_operator(data_dir: Path | None) -> AsyncGenerator[Operator]:
    """An operator on the database of the data directory's stack, else of the environment, else of the running stack."""
    settings = config.load()
    database = Database(_database_url(data_dir), pool_size=2)
    try:
        corpus = CorpusService(database)
        sample = corpus.ensure_sample if settings.http.auth == "dev" else None
        webhooks = WebhookService(database, settings.webhooks)
        kept = _kept(settings, data_dir)
        secrets = SecretService(database, KeyRing.of(kept.sealing))
        endpoints = EndpointService(database, secrets, kept.llm)
        accounts, tokens = AccountsService(database, settings.http, sample), AgentTokenService(database)
        yield Operator(accounts, corpus, webhooks, secrets, endpoints, tokens)
    finally:
        await database.close()


def _database_url(data_dir: Path | None) -> str:
    """DATABASE_URL where it is set, else the running stack's; with a data directory named, always that stack's."""
    if data_dir is None:
        return state.database_url()
    stack = state.running(data_dir)
    if stack is None:
        raise ConfigurationError(
            f"No stack runs on {data_dir}.", field="--data-dir", remedy=f"Start it with: pavo up --data-dir {data_dir}"
        )
    return stack.environment["DATABASE_URL"]


def _kept(settings: Settings, data_dir: Path | None) -> Settings:
    """The settings of the stack whose database it is; of a database that DATABASE_URL names, those of this shell."""
    if data_dir is None and os.environ.get("DATABASE_URL"):
        return settings
    stack = state.running(data_dir)
    return settings if stack is None else settings_of(Layout(Path(stack.data_dir)), stack)


def local_time(moment: datetime | None) -> str:
    """A moment as people read it, to the minute; empty without one."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
