"""A Temporal dev server with the very settings that Pavo ships: file store, WAL, tuned queues."""

from bench.proc import Group, free_port, listens, script, until

TUNED = (
    "--sqlite-pragma",
    "journal_mode=wal",
    "--dynamic-config-value",
    "history.transferProcessorMaxPollRPS=100000",
    "--dynamic-config-value",
    'history.timerProcessorMaxTimeShift="10ms"',
)


async def start_temporal(group: Group, *, synchronous: str = "normal") -> str:
    """Start the server; answers its host:port."""
    port, ui = free_port(), free_port()
    command = [
        script("temporal"),
        "server",
        "start-dev",
        "--ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--ui-port",
        str(ui),
        "--db-filename",
        str(group.folder / "temporal.db"),
        "--log-level",
        "error",
        *TUNED,
        "--sqlite-pragma",
        f"synchronous={synchronous}",
    ]
    group.start(command, log="temporal")
    await until(lambda: listens(port), seconds=20, what="The Temporal server's start", logs=group)
    return f"127.0.0.1:{port}"
