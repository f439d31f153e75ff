"""`pavo api`, `pavo worker`, `pavo migrate`: one part against services from the environment."""

import importlib
import os
from pathlib import Path

from pavo import config
from pavo.cli.output import Output, console, tell
from pavo.kit.extras import require
from pavo.kit.ready import await_turn, gently, is_spare
from pavo.observe.lean_imports import lean_imports


def api() -> None:
    """Serve the HTTP API against DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS."""
    require("The API", "server")
    with lean_imports():
        from pavo.api import serve

    serve(config.load())


def worker() -> None:
    """Execute tasks from the task queue of TEMPORAL_TASK_QUEUE."""
    require("A worker", "worker")
    if is_spare():
        with lean_imports():
            gently(lambda: importlib.import_module("pavo.worker").warm_up())
        console().print(f"Spare worker {os.getpid()} waits for its turn.", soft_wrap=True)
        if not await_turn():
            return
    with lean_imports():
        from pavo.worker import serve

    serve(config.load())


def migrate(*, data_dir: Path | None = None, output: Output = "text") -> None:
    """Bring Pavo's schema up to date in DATABASE_URL, or in the running stack's database.

    Args:
        data_dir: the stack whose database is meant.
    """
    from pavo.deploy.model.state import database_url
    from pavo.kit.migrate import pending, upgrade

    url = database_url(data_dir)
    missing = pending(url)
    upgrade(url)
    tell(output, f"Applied {', '.join(missing)}." if missing else "The schema is up to date.", {"applied": missing})
