"""How the gateway comes into an API process, over all kinds of runs that have tokens of it."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.llm.gateway.bearers import Bearers
from pavo.llm.gateway.service import GatewayService
from pavo.usage.prices import PriceTable


@runtime_checkable
class HasBearers(Protocol):
    """Use cases of a slice whose attempts have tokens of the gateway."""

    @property
    def bearers(self) -> Bearers:
        """Who shows one."""
        ...


def model_calls(database: Database, settings: Settings) -> ModelCalls:
    """What calls models, by the operator's prices; closed by whoever made it."""
    secrets = SecretService(database, KeyRing.of(settings.sealing))
    return ModelCalls(database, settings.llm, PriceTable.load(settings.usage.prices), secrets)


def model_gateway(models: ModelCalls, services: Iterable[object]) -> GatewayService:
    """The gateway, for every slice of these use cases that has bearers."""
    return GatewayService(models, [each.bearers for each in services if isinstance(each, HasBearers)])
