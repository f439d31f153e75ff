"""Celery: one task that enqueues its next step until all are done. The address of Valkey comes by environment."""

import os
import time
from typing import Any, cast

import redis
from celery import Celery

URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")
app = Celery("bench", broker=URL)
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
_clients: list[Any] = []


def _client() -> Any:
    # One per process, made after the fork.
    if not _clients:
        _clients.append(redis.Redis.from_url(URL))
    return _clients[0]


@app.task
def step(left: int, key: str) -> None:
    """An empty step; the last one says so."""
    if left > 1:
        cast(Any, step).delay(left - 1, key)
    else:
        _client().rpush(key, 1)


@app.task
def taken(due: float, key: str) -> None:
    """A message that a worker has taken: says when, and how many seconds after it was due."""
    now = time.time()
    _client().rpush(key, f"{now} {now - due}")
