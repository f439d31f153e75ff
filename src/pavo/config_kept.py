"""The settings of organisations' secrets and of usage."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from pavo.config_section import Section


class SealingSettings(Section):
    """The keys that seal organisations' secrets in the database; the API and the workers need the same."""

    key: SecretStr | None = Field(default=None, validation_alias="PAVO_SEALING_KEY")
    """Base64 of 32 bytes: seals organisations' secrets in the database (AES-256-GCM); without it there can be none."""
    former_keys: SecretStr | None = Field(default=None, validation_alias="PAVO_SEALING_FORMER_KEYS")
    """Keys of before, separated by commas: what they sealed is still opened; pavo secret rotate seals it anew."""


class UsageSettings(Section):
    """What models cost; the API and the workers need the same."""

    prices: Path | None = Field(default=None, validation_alias="PAVO_PRICES")
    """File with what models cost (TOML, or JSON where its name ends with .json); without it no price is known."""

    @field_validator("prices", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None
