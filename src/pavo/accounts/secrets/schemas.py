"""Wire shapes of an organisation's secrets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, SecretStr

from pavo.accounts.secrets.domain import Change


class SecretIn(BaseModel):
    """A secret's value, which is never shown again."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    value: SecretStr
    """Text of at most 32,000 bytes."""


class SecretOut(BaseModel):
    """A secret, without its value."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    name: str
    set_at: datetime
    set_by: str | None
    """Address of who set it; null: an operator, on the command line, or somebody who is gone."""
    key: str
    """Id of the key that seals it, in hex."""


class SecretList(BaseModel):
    """An organisation's secrets, by name."""

    items: list[SecretOut]


class SecretChangeOut(BaseModel):
    """Who set or removed a secret, and when."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    name: str
    change: Change
    at: datetime
    by: str | None
    """As in a secret's `set_by`."""


class SecretChangeList(BaseModel):
    """A page of changes, newest first."""

    items: list[SecretChangeOut]
    next_cursor: str | None = None
