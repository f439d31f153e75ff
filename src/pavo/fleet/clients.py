"""What the composition root hands to a gateway; it needs nothing of gRPC."""

import uuid
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client

from pavo.accounts.secrets.service import SecretService
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.timeline.publish import Publisher

IDENTITY: Final = "gateway:"
"""How the names of gateways begin in Temporal."""


def identity_of(gateway_id: uuid.UUID) -> str:
    """What Temporal calls a gateway."""
    return f"{IDENTITY}{gateway_id}"


@dataclass(frozen=True, slots=True)
class GatewayClients:
    """What a gateway is made of."""

    settings: Settings
    gateway_id: uuid.UUID
    database: Database
    temporal: Client
    """Its identity is `identity_of` this gateway."""
    publisher: Publisher
    secrets: SecretService
