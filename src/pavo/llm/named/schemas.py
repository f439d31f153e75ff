"""Wire shapes of organisations' endpoints."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pavo.kit.texts.fields import Text
from pavo.llm.named.domain import EndpointValues


class ModelEndpointIn(BaseModel):
    """Where models are asked under a name. No key is given here: it is a secret of the organisation, by its name."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    base_url: Text
    """Base URL of an OpenAI-compatible server, such as https://api.openai.com/v1; `/chat/completions` follows it."""
    model: Text | None = None
    """The model that is asked where a request names none."""
    secret: Text | None = None
    """Name of the organisation's secret that is sent as the key; null: none is sent."""

    def values(self) -> EndpointValues:
        """What is set."""
        return EndpointValues(self.base_url, self.model, self.secret)


class ModelEndpointOut(BaseModel):
    """An endpoint of an organisation, without its key."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    name: str
    base_url: str
    model: str | None
    """The model that is asked where a request names none."""
    secret: str | None
    """Name of the secret that is sent as the key."""
    set_at: datetime
    set_by: str | None
    """Address of who set it; null: an operator, on the command line, or somebody who is gone."""


class ModelEndpointList(BaseModel):
    """An organisation's endpoints, by name."""

    items: list[ModelEndpointOut]
