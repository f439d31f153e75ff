"""A Temporal dev server with the very settings that Pavo ships for data that last: file store, WAL, full sync."""

from bench.proc import Group, free_port, listens, script, until
from pavo.deploy.local.components.dev_server import DYNAMIC_CONFIG


async def start_temporal(group: Group, *, synchronous: str = "full") -> str:
    """Start the server; answers its host:port."""
    port, ui = free_port(), free_port()
    pragmas = ("journal_mode=wal", f"synchronous={synchronous}")
    command = [
        *(script("temporal"), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--ui-port", str(ui)),
        *("--db-filename", str(group.folder / "temporal.db"), "--log-level", "error"),
        *(item for pragma in pragmas for item in ("--sqlite-pragma", pragma)),
        *(item for pair in DYNAMIC_CONFIG.items() for item in ("--dynamic-config-value", "=".join(pair))),
    ]
    group.start(command, log="temporal")
    await until(lambda: listens(port), seconds=20, what="The Temporal server's start", logs=group)
    return f"127.0.0.1:{port}"
