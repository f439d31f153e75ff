"""Where models are asked: the default endpoint of the settings."""

from dataclasses import dataclass, field
from typing import Final

from pavo.config import LlmSettings
from pavo.errors import NotFound

DEFAULT: Final = "default"
_REMEDY: Final = "Set PAVO_LLM_BASE_URL (such as https://api.openai.com/v1), PAVO_LLM_API_KEY and PAVO_LLM_MODEL."


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


class ModelEndpoints:
    """The endpoints of a worker or an API."""

    def __init__(self, settings: LlmSettings) -> None:
        self._default: Endpoint | None = None
        if settings.base_url:
            key = settings.api_key.get_secret_value() if settings.api_key else None
            self._default = Endpoint(DEFAULT, settings.base_url.rstrip("/"), key or None, settings.model or None)

    def get(self, name: str | None) -> Endpoint:
        """The endpoint of this name; None: the default one.

        Raises:
            NotFound: there is none.
        """
        if name not in (None, DEFAULT):
            raise NotFound(f"There is no endpoint {name!r}.", field="endpoint", remedy="Leave it out.")
        if self._default is None:
            raise NotFound("No model is configured.", field="PAVO_LLM_BASE_URL", remedy=_REMEDY)
        return self._default
