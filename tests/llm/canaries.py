"""Random words planted where something is secret, and looking for them wherever Pavo keeps or tells anything."""

import base64
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import Message
from psycopg import AsyncConnection, sql
from redis.asyncio import Redis
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory

from pavo.temporal.codec import EncryptingCodec

_COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns JOIN information_schema.tables
USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea', 'ARRAY', 'USER-DEFINED')
"""


@dataclass
class Canaries:
    """Words by what they stand for."""

    words: dict[str, str] = field(default_factory=dict)

    def plant(self, name: str) -> str:
        """A new word, of 32 characters."""
        self.words[name] = uuid.uuid4().hex
        return self.words[name]

    def forms(self) -> dict[str, str]:
        """Each word in the forms in which it may be kept, lower and upper case aside: plain, base64, hex."""
        found: dict[str, str] = {}
        for name, word in self.words.items():
            found[word] = found[word.encode().hex()] = name
            for before in range(3):  # base64 of it depends on where in a group of three bytes it begins
                padded = base64.b64encode(b"\0" * before + word.encode()).decode()
                found[padded[4 if before else 0 : -4]] = name
        return found

    def within(self, texts: Iterable[str | bytes]) -> set[str]:
        """The names of the words that are in any of these."""
        forms = self.forms()
        return {
            name
            for each in texts
            for text in [each if isinstance(each, str) else each.decode("latin-1")]
            for form, name in forms.items()
            if form in text
        }

    async def in_database(self, connection: AsyncConnection[Any]) -> dict[str, set[str]]:
        """By word, the columns `table.column` of all tables that hold it."""
        found: dict[str, set[str]] = {name: set() for name in self.words}
        pattern, forms = "|".join(map(re.escape, self.forms())), self.forms()
        for table, column, kind in await (await connection.execute(_COLUMNS)).fetchall():
            shown = "encode({0}, 'escape') || encode({0}, 'hex')" if kind == "bytea" else "{0}::text"
            query = "SELECT DISTINCT m[1] FROM {1}, regexp_matches(" + shown + ", {2}, 'g') m"
            names = sql.Identifier(column), sql.Identifier(table), sql.Literal(f"({pattern})")
            statement = sql.SQL(cast(Any, query)).format(*names)
            for (form,) in await (await connection.execute(statement)).fetchall():
                found[forms[form]].add(f"{table}.{column}")
        return found


def children_of(pid: int) -> dict[str, list[bytes]]:
    """What each process that descends from this one was started with: its environment and arguments, by its id."""
    found: dict[str, list[bytes]] = {}
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            place = Path(f"/proc/{child}")
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended in between
                found[child] = [(place / file).read_bytes() for file in ("environ", "cmdline")]
                found |= children_of(int(child))
    return found


async def in_histories(client: Client, query: str, key: bytes) -> dict[str, list[bytes]]:
    """All that Temporal holds of these workflows, by workflow: bytes as they are, and what the key opens of them."""
    codec, found = EncryptingCodec(key), dict[str, list[bytes]]()
    async for workflow in client.list_workflows(query):
        told = await client.get_workflow_handle(workflow.id, run_id=workflow.run_id).describe()
        history: WorkflowHistory = await client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history()
        kept: list[Message] = [*history.events, told.raw_description]
        payloads = [payload for message in kept for payload in _payloads(message)]
        opened = [each.SerializeToString() for each in await codec.decode(payloads)]
        found.setdefault(workflow.id, []).extend([*(each.SerializeToString() for each in kept), *opened])
    return found


def _payloads(message: Message) -> Iterator[Payload]:
    """Every payload in it, at whatever depth."""
    if isinstance(message, Payload):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if isinstance(value, Message):
            inner: Iterable[Any] = [value]
        else:
            inner = value.values() if descriptor.message_type.GetOptions().map_entry else value
        for each in inner:
            if isinstance(each, Message):
                yield from _payloads(each)


async def in_redis(url: str) -> list[bytes]:
    """All keys and what they hold."""
    found: list[bytes] = []
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter(count=1000):
            found += [key, repr(await _value(redis, key)).encode()]
    return found


async def _value(redis: Any, key: bytes) -> Any:
    kind = await redis.type(key)
    readers = {
        b"string": lambda: redis.get(key),
        b"hash": lambda: redis.hgetall(key),
        b"list": lambda: redis.lrange(key, 0, -1),
        b"set": lambda: redis.smembers(key),
        b"zset": lambda: redis.zrange(key, 0, -1, withscores=True),
        b"stream": lambda: redis.xrange(key),
    }
    return await readers[kind]() if kind in readers else None  # none: it ran out in between
