"""`pavo api`, `pavo worker` and `pavo gateway`: one process each, against the services that the environment names."""

import importlib
import os
import sys
from contextlib import nullcontext
from typing import Annotated

from cyclopts import Parameter

from pavo import config
from pavo.cli.output import console
from pavo.cli.stack.worker_beside import worker_beside
from pavo.errors import InvalidInput
from pavo.kit.extras import require
from pavo.kit.ready import await_turn, gently, is_spare
from pavo.observe.lean_imports import lean_imports


def api(
    *,
    with_worker: Annotated[
        bool,
        Parameter(help="Begin a worker with it, and let it finish and record what it does at the end.", negative=""),
    ] = False,
    worker_metrics: Annotated[
        str | None,
        Parameter(help="HOST:PORT of that worker's metrics; default: one above PAVO_METRICS_ADDRESS, if that is set."),
    ] = None,
) -> None:
    """Serve the HTTP API against DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS."""
    require("The API", "server")
    with lean_imports():
        from pavo.api import serve

    settings = config.load()
    if worker_metrics is not None:
        _check_worker_metrics(worker_metrics, with_worker=with_worker)
    with worker_beside(worker_metrics) if with_worker else nullcontext():
        serve(settings)


def _check_worker_metrics(address: str, *, with_worker: bool) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        remedy = "Write it as 127.0.0.1:9465."
        raise InvalidInput(f"{address!r} is no HOST:PORT.", field="--worker-metrics", remedy=remedy)
    if not with_worker:
        raise InvalidInput("There is no worker.", field="--worker-metrics", remedy="Pass --with-worker too.")


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

    if serve(config.load()):
        # In place of this process: who supervises it sees none end, and where nobody does, nobody has to start another.
        os.execv(sys.executable, sys.orig_argv)


def gateway() -> None:
    """Serve remote agents over gRPC on PAVO_GATEWAY_HOST and PAVO_GATEWAY_PORT, until SIGTERM."""
    require("The gateway", "server")
    with lean_imports():
        from pavo.gateway import serve

    serve(config.load())
