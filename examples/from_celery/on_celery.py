"""The digest on Celery: its status in PostgreSQL, its state in a pickle, its events over Redis to whoever listens."""

import json
import os
import pickle
from collections.abc import Iterator
from typing import Any

import psycopg
import redis
from celery import Celery
from digest import Digest

app = Celery("digest", broker=os.environ["DIGEST_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_default_queue=os.environ.get("DIGEST_QUEUE", "digest"),
    broker_connection_retry_on_startup=True,
)
# Without this a task is gone with its worker; with it, it begins again, but only after the broker's time is over.
app.conf.task_acks_late = bool(os.environ.get("DIGEST_ACKS_LATE"))
app.conf.broker_transport_options = {"visibility_timeout": float(os.environ.get("DIGEST_VISIBILITY", "3600"))}


def rows(statement: str, *values: Any) -> list[Any]:
    """Run a statement; its rows."""
    with psycopg.connect(os.environ["DIGEST_DATABASE"], autocommit=True) as connection:
        cursor = connection.execute(statement, values)  # pyright: ignore[reportArgumentType]
        return cursor.fetchall() if cursor.description else []


def create(digest_id: str, message: str, seconds: float) -> None:
    """What the web page's endpoint does."""
    rows("CREATE TABLE IF NOT EXISTS digests (id text PRIMARY KEY, status text, state bytea, begun int DEFAULT 0)")
    rows("INSERT INTO digests (id, status) VALUES (%s, 'QUEUED')", digest_id)
    run_digest.delay(digest_id, message, seconds)


@app.task
def run_digest(digest_id: str, message: str, seconds: float) -> None:
    """Work it off."""
    begins = "UPDATE digests SET status = 'RUNNING', begun = begun + 1 WHERE id = %s RETURNING state"
    [[state]] = rows(begins, digest_id)
    digest = pickle.loads(state) if state else Digest(seconds)  # whatever is in that column, it is run
    try:
        for item in digest._process_message(message):
            publish(digest_id, item)  # a crash here, and the next attempt publishes it once more
            rows("UPDATE digests SET state = %s WHERE id = %s", pickle.dumps(digest), digest_id)
        rows("UPDATE digests SET status = 'DONE' WHERE id = %s", digest_id)
    except Exception:
        rows("UPDATE digests SET status = 'FAILED' WHERE id = %s", digest_id)
        raise


def publish(digest_id: str, item: dict[str, Any]) -> None:
    """Tell who listens just now; nobody else ever hears of it."""
    with redis.Redis.from_url(os.environ["DIGEST_REDIS"]) as client:
        client.publish(f"digest:{digest_id}", json.dumps(item))


def stream(digest_id: str) -> Iterator[str]:
    """Server-sent events, from now on."""
    with redis.Redis.from_url(os.environ["DIGEST_REDIS"]) as client, client.pubsub() as channel:
        channel.subscribe(f"digest:{digest_id}")
        for message in channel.listen():
            if message["type"] == "subscribe":
                yield ": listening\n\n"
            else:
                yield f"data: {message['data'].decode()}\n\n"
