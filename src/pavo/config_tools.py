"""The settings of tools."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator

from pavo.config_section import Section, listed, parse_networks

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
