"""What a worker has for tools: which there are, and what those of Pavo's use."""

import logging
from dataclasses import dataclass

from pavo.config import ToolSettings
from pavo.tools.builtin.commands import Mode
from pavo.tools.builtin.web import WebReader
from pavo.tools.mcp.servers import McpServers
from pavo.tools.mcp.servers_file import read_servers
from pavo.tools.registry import ToolRegistry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerTools:
    """Built by `open_tools`."""

    registry: ToolRegistry
    web: WebReader
    commands: Mode = "off"
    """Whether commands are run."""
    servers: McpServers | None = None

    def close(self) -> None:
        """End what it started; takes seconds."""
        if self.servers is not None:
            self.servers.close()
        self.web.close()


def open_tools(settings: ToolSettings) -> WorkerTools:
    """Read which tools there are, and begin to connect to MCP servers; nobody waits for them.

    Raises:
        ConfigurationError: the file of MCP servers is wrong.
        NotInstalled: it names some, and the extra `mcp` is missing.
    """
    web = WebReader(settings.hosts, settings.networks)
    specs = read_servers(settings.mcp_config) if settings.mcp_config is not None else ()
    if not specs:
        return WorkerTools(ToolRegistry.load(), web, settings.run_command)
    servers = McpServers(specs)
    servers.start()
    logger.info("MCP servers: %s", ", ".join(spec.name for spec in specs))
    return WorkerTools(ToolRegistry.load(servers), web, settings.run_command, servers)
