"""Where models are asked: at the default endpoint of the settings, or at one of the organisation's own."""

import uuid
from dataclasses import dataclass, field
from typing import Final, Protocol

from pavo.config import LlmSettings
from pavo.errors import NotFound

DEFAULT: Final = "default"
_REMEDY: Final = (
    "Set PAVO_LLM_BASE_URL (such as https://api.openai.com/v1), PAVO_LLM_MODEL and, where the server wants one, "
    "PAVO_LLM_API_KEY: before `pavo up`; later by `pavo deploy set PAVO_LLM_BASE_URL=…` and so on, and "
    "`pavo deploy restart worker`. Then resume the task."
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server, and how it is asked."""

    name: str
    base_url: str
    """Without a slash at its end; `/chat/completions` follows."""
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    """Asked where a request names none."""
    remedy: str = "Correct PAVO_LLM_BASE_URL, PAVO_LLM_API_KEY or PAVO_LLM_MODEL, and restart the worker."
    """What to do where the server refuses it."""
    is_own: bool = False
    """Whether it is an organisation's own: then the addresses of its host are judged at each connection."""


class OwnEndpoints(Protocol):
    """Those of organisations, see `named.service.EndpointService`."""

    async def opened(self, organisation_id: uuid.UUID, name: str) -> Endpoint:
        """One of them, with its key.

        Raises:
            NotFound: it cannot be asked.
            Unavailable: it cannot be read now.
        """
        ...


class ModelEndpoints:
    """The endpoints of a worker or an API."""

    def __init__(self, settings: LlmSettings, own: OwnEndpoints) -> None:
        self._own = own
        self._default: Endpoint | None = None
        if settings.base_url:
            key = settings.api_key.get_secret_value() if settings.api_key else None
            self._default = Endpoint(DEFAULT, settings.base_url.rstrip("/"), key or None, settings.model or None)

    async def get(self, organisation_id: uuid.UUID, name: str | None) -> Endpoint:
        """The endpoint of this name for a call of this organisation's; None: the default one.

        Raises:
            NotFound: there is none, or its key is not there.
            Unavailable: it cannot be read now.
        """
        if name not in (None, DEFAULT):
            return await self._own.opened(organisation_id, name)
        if self._default is None:
            raise NotFound("No model is configured.", field="PAVO_LLM_BASE_URL", remedy=_REMEDY)
        return self._default
