"""Where programs that an agent brings ask models by themselves: an OpenAI-compatible URL, and a token for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from pavo.errors import AgentRefused


@dataclass(frozen=True, slots=True)
class Gateway:
    """An OpenAI-compatible server whose answers are recorded for this task."""

    base_url: str
    """Such as http://127.0.0.1:8000/llm/v1."""
    token: str = field(repr=False)
    """What its clients take for an API key; good for this attempt alone."""


class Gateways(Protocol):
    """Opens the gateway for an agent."""

    async def gateway(self) -> Gateway:
        """The gateway for this attempt.

        Raises:
            Unavailable: it cannot be recorded.
        """
        ...


class NoGateway:
    """For contexts that are made by hand."""

    async def gateway(self) -> Gateway:
        """Raises: there is none."""
        raise AgentRefused("There is no gateway here.", remedy="Give AgentTrial gateway=Gateway(base_url, token).")


class GivenGateway:
    """One that stands already."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def gateway(self) -> Gateway:
        """The one that was given."""
        return self._gateway


class WatchedGateways:
    """What the agent's host hands over.

    Args:
        noted: within, an outage is Pavo's and not the agent's.
    """

    def __init__(self, gateways: Gateways, noted: Callable[[], AbstractContextManager[None]]) -> None:
        self._gateways, self._noted = gateways, noted

    async def gateway(self) -> Gateway:
        """The gateway for this attempt."""
        with self._noted():
            return await self._gateways.gateway()
