"""The settings of tools, and of the gateway to remote agents."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator

from pavo.config_section import Place, Section, listed, parse_networks

_EFFECTS: Final = r"^(\s*[A-Za-z0-9][\w.:/-]*=(read|idempotent|unsafe)\s*(,|$))*$"


class ToolSettings(Section):
    """What the operator says of tools."""

    unsafe: Literal["allow", "ask", "deny"] = Field(default="allow", validation_alias="PAVO_TOOLS_UNSAFE")
    """What holds for calls of unsafe tools about which no policy says anything."""
    effects: str = Field(default="", pattern=_EFFECTS, validation_alias="PAVO_TOOL_EFFECTS")
    """What calling tools does, whatever they say themselves: pairs like search=read, separated by commas."""
    mcp_config: Path | None = Field(default=None, validation_alias="PAVO_MCP_CONFIG")
    """JSON file that names MCP servers, whose tools agents may call: {"mcpServers": {NAME: {"command": …}}}."""
    run_command: Literal["off", "confined", "any"] = Field(default="off", validation_alias="PAVO_RUN_COMMAND")
    """Whether the tool run_command runs anything: off; confined: where the worker can confine it as it confines
    isolated agents; any: also where nothing confines it."""
    http_get_hosts: str = Field(default="", validation_alias="PAVO_HTTP_GET_HOSTS")
    """Hosts that the tool http_get may read from, separated by commas: docs.example.com, *.example.org,
    wiki.example.org:8443. Empty: none."""
    http_get_networks: str = Field(default="", validation_alias="PAVO_HTTP_GET_NETWORKS")
    """Networks that http_get may reach though they are not public: 10.0.0.0/8, …, separated by commas."""

    @field_validator("mcp_config", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("http_get_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def hosts(self) -> tuple[str, ...]:
        """`http_get_hosts`, parsed."""
        return listed(self.http_get_hosts)

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`http_get_networks`, parsed."""
        return parse_networks(self.http_get_networks)


class GatewaySettings(Section):
    """The gateway that remote agents connect to (`pavo gateway`)."""

    host: str = Field(default="127.0.0.1", validation_alias="PAVO_GATEWAY_HOST")
    """Address that the gateway listens on; another one than loopback takes a certificate."""
    port: int = Field(default=7443, ge=0, le=65535, validation_alias="PAVO_GATEWAY_PORT")
    """Port that the gateway listens on; 0 takes a free one, which the log tells."""
    certificate: Place = Field(default=None, validation_alias="PAVO_GATEWAY_TLS_CERT_PATH")
    """PEM file of the gateway's certificate, with those between it and the authority."""
    key: Place = Field(default=None, validation_alias="PAVO_GATEWAY_TLS_KEY_PATH")
    """PEM file of its key."""
    insecure: bool = Field(default=False, validation_alias="PAVO_GATEWAY_INSECURE")
    """Listen without TLS on other addresses than loopback too, behind a proxy that ends TLS."""
    names: str = Field(default="", validation_alias="PAVO_GATEWAY_NAMES")
    """Names and addresses, separated by commas, by which remote agents call the gateway, beside this machine's: the
    certificate of the deployment's own CA is good for them."""
    agents: int = Field(default=2_000, ge=1, le=100_000, validation_alias="PAVO_GATEWAY_AGENTS")
    """Remote agents that one gateway takes; others are told to try another one."""
    own_queues: int = Field(default=200, ge=0, le=2_000, validation_alias="PAVO_GATEWAY_OWN_QUEUES")
    """Remote agents of one gateway that have a task queue of Temporal's each, at 2 MB and two long polls; those beyond
    share one."""
    ping_seconds: float = Field(default=5.0, gt=0, le=60, validation_alias="PAVO_GATEWAY_PING_SECONDS")
    """So often gateway and agent greet each other through the stream."""
    silence_seconds: float = Field(default=15.0, gt=0, le=600, validation_alias="PAVO_GATEWAY_SILENCE_SECONDS")
    """Whoever hears nothing for so long ends the stream; longer than two greetings take."""
    log_kb: int = Field(default=1_024, ge=64, le=65_536, validation_alias="PAVO_GATEWAY_LOG_KB")
    """KB of log that one agent may send before they are stored."""
    logs_mb: int = Field(default=64, ge=1, le=65_536, validation_alias="PAVO_GATEWAY_LOGS_MB")
    """MB of log that wait in a gateway to be stored, in all; beyond it agents wait."""
    models_url: str = Field(default="", pattern=r"^(https?://\S+)?$", validation_alias="PAVO_GATEWAY_MODELS_URL")
    """Base URL of the API's model gateway as remote agents reach it, such as https://pavo.example/llm/v1; default: that
    of PAVO_HOST and PAVO_PORT where only this machine reaches it."""
    public_url: str = Field(default="", pattern=r"^(https?://\S+)?$", validation_alias="PAVO_PUBLIC_URL")
    """URL of the API as people reach it, such as https://pavo.example: pull requests and the statuses of their commits
    link their job there. Empty: they link nothing."""


_HEARTBEATS: Final = r"^(\s*[a-z_]{1,40}=[1-9][0-9]{0,5}\s*(,|$))*$"


class JobSettings(Section):
    """How long coding jobs may be silent, what is kept of them, and how their pull requests are looked after."""

    stuck_minutes: float = Field(default=60.0, gt=0, validation_alias="PAVO_JOB_STUCK_MINUTES")
    """A job in progress without a log line, stage or result for so long goes back to its queue, except where people are
    asked about it. Renewing a lease is none of these."""
    heartbeats: str = Field(default="", pattern=_HEARTBEATS, validation_alias="PAVO_JOB_HEARTBEATS")
    """Seconds that an agent may say nothing about a command, by its kind: start_execution=600,run_verification=60;
    others have 300."""
    log_days: float = Field(default=90.0, gt=0, le=36_500, validation_alias="PAVO_JOB_LOG_DAYS")
    """Days that the log of a job is kept after its end."""

    review_seconds: float = Field(default=60.0, ge=0, le=86_400, validation_alias="PAVO_JOB_REVIEW_SECONDS")
    """So often a forge is asked about a new pull request of a job: its state, and comments; older ones more seldom. 0:
    never."""
    reviews: int = Field(default=10, ge=0, le=1_000, validation_alias="PAVO_JOB_REVIEWS")
    """So often comments on its pull request have a job go on; beyond it people ask for rework."""
    forge_networks: str = Field(default="", validation_alias="PAVO_FORGE_NETWORKS")
    """Networks where workers reach forges of organisations though they are not public, also by http://: 10.0.0.0/8, …,
    separated by commas; empty: public addresses alone."""

    @field_validator("forge_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`forge_networks`, parsed."""
        return parse_networks(self.forge_networks)

    @property
    def heartbeat_seconds(self) -> Mapping[str, float]:
        """`heartbeats`, parsed."""
        pairs = (each.partition("=") for each in listed(self.heartbeats))
        return {kind.strip(): float(seconds) for kind, _, seconds in pairs}
