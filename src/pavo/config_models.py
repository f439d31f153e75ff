"""The settings of models: where they are asked, and with which patience."""

import re
from ipaddress import IPv4Network, IPv6Network

from pydantic import Field, SecretStr, field_validator

from pavo.config_section import Section, parse_networks

_ID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_RULE = re.compile(rf"([\w.*?-]*(@{_ID})?=)?[^\s=@][^\s=]*", re.ASCII)


class LlmSettings(Section):
    """The models that agents ask by `ctx.complete`; the keys stay with workers."""

    base_url: str = Field(default="", validation_alias="PAVO_LLM_BASE_URL")
    """Base URL of an OpenAI-compatible server, such as https://api.openai.com/v1; `/chat/completions` follows it."""
    api_key: SecretStr | None = Field(default=None, validation_alias="PAVO_LLM_API_KEY")
    """Key of that server; empty: none is sent."""
    model: str = Field(default="", max_length=200, validation_alias="PAVO_LLM_MODEL")
    """The model that is asked where a request names none."""
    connect_seconds: float = Field(default=10.0, gt=0, le=300, validation_alias="PAVO_LLM_CONNECT_SECONDS")
    """Seconds to connect to a model's server."""
    silence_seconds: float = Field(default=120.0, gt=0, le=3600, validation_alias="PAVO_LLM_SILENCE_SECONDS")
    """An answer of which nothing came for so long is given up, and asked for again."""
    seconds: float = Field(default=900.0, gt=0, le=86_400, validation_alias="PAVO_LLM_SECONDS")
    """Seconds that a call may take, with everything that it is tried again."""
    tries: int = Field(default=6, ge=1, le=100, validation_alias="PAVO_LLM_TRIES")
    """So often a call is tried that fails for the moment: status 408, 409, 425, 429 or 5xx, a cut connection, an answer
    that is none."""
    step_tokens: int = Field(default=5_000_000, ge=1_000, le=10**15, validation_alias="PAVO_LLM_STEP_TOKENS")
    """After so many tokens of `ctx.complete` without a checkpoint people are asked whether to go on."""

    models: str = Field(default="", max_length=20_000, validation_alias="PAVO_LLM_MODELS")
    """Which models may be used, separated by blanks, with * and ?: MODEL, AGENT=MODEL, @ORGANISATION=MODEL (its id) or
    AGENT@ORGANISATION=MODEL; empty: all. The API and the workers need the same."""

    networks: str = Field(default="", validation_alias="PAVO_LLM_NETWORKS")
    """Networks where organisations' own endpoints may be though they are not public, also by http://: 10.0.0.0/8, …,
    separated by commas; empty: public addresses alone. The API and the workers need the same."""

    gateway_url: str = Field(default="", validation_alias="PAVO_GATEWAY_URL")
    """Base URL of the API's gateway as agents reach it, such as http://pavo-api:8000/llm/v1; default: that of PAVO_HOST
    and PAVO_PORT."""

    @field_validator("models")
    @classmethod
    def _are_rules(cls, value: str) -> str:
        for rule in value.split():
            if not _RULE.fullmatch(rule):
                raise ValueError(f"{rule[:100]!r} is no MODEL, AGENT=MODEL or AGENT@ORGANISATION=MODEL, with its id")
        return value

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`networks`, parsed."""
        return parse_networks(self.networks)

    @field_validator("base_url", "gateway_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError("it is no URL such as https://api.openai.com/v1, without user, query and fragment")
        return value
