"""Histories opened by the API's codec endpoint, as Temporal's command line and UI have it done, on real parts."""

import asyncio
import base64
import dataclasses
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.converter import DataConverter

from pavo import config
from pavo.accounts.origin import DECODE
from pavo.api import create_app
from pavo.errors import ConfigurationError
from pavo.kit.ids import key_id
from pavo.kit.problem import PROBLEM_JSON
from pavo.temporal.codec import ENCODING, KEY_ID, EncryptingCodec
from tests.driving import Tasks
from tests.parts import Part, Parts, free_port

NEW, OLD, STRANGE = (os.urandom(32) for _ in range(3))
TOKEN = uuid.uuid4().hex
UI = "https://temporal.example:8233"
SAID = "what the workflow was told"


@dataclasses.dataclass
class Rotated:
    """A stack whose histories are encrypted with `NEW`, and which keeps `OLD` for reading."""

    url: str
    tasks: Tasks
    api: Part
    temporal: Client
    """Without any key."""

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """As the command line asks."""
        body = MessageToDict(Payloads(payloads=payloads))
        answer = await self.ask(json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return list(ParseDict(answer.json(), Payloads()).payloads)

    async def ask(self, *, token: str | None = TOKEN, namespace: str | None = None, **request: Any) -> httpx2.Response:
        headers = {"X-Namespace": self.temporal.namespace if namespace is None else namespace}
        headers |= {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers = {name: value for name, value in headers.items() if value}
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as client:
            request["headers"] = {**headers, **request.get("headers", {})}
            return await client.post(f"{DECODE}?preserveStorageRefs=true", **request)


@pytest_asyncio.fixture(scope="module")
async def rotated(parts: Parts, temporal: Client) -> AsyncIterator[Rotated]:
    keys = {"PAVO_TEMPORAL_CODEC_KEY": text(NEW), "PAVO_TEMPORAL_CODEC_FORMER_KEYS": text(OLD)}
    own = {"TEMPORAL_TASK_QUEUE": f"codec-{uuid.uuid4().hex[:8]}", "PAVO_PORT": str(free_port()), **keys}
    own |= {"PAVO_TEMPORAL_CODEC_TOKEN": TOKEN, "PAVO_TEMPORAL_UI_URL": f"{UI}/namespaces"}
    processes = [await parts.start("worker", **own), await parts.start("api", **own)]
    url, headers = f"http://127.0.0.1:{own['PAVO_PORT']}", {"X-User-Email": "codec@example.com"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield Rotated(url, Tasks(client), processes[1], temporal)
    for process in processes:
        process.end()


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


class OfBefore(EncryptingCodec):
    """As payloads were before they named their keys."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": ENCODING}, data=each.data) for each in await super().encode(payloads)]


async def told(temporal: Client, codec: EncryptingCodec) -> list[Payload]:
    """The payloads in the history of a workflow that was told something, as Temporal holds them."""
    converter = dataclasses.replace(DataConverter.default, payload_codec=codec)
    client = Client(temporal.service_client, namespace=temporal.namespace, data_converter=converter)
    name, limit = f"codec-{uuid.uuid4().hex}", timedelta(minutes=1)
    handle = await client.start_workflow("Nobodys", SAID, id=name, task_queue=name, execution_timeout=limit)
    try:
        return await kept(temporal, name)
    finally:
        await handle.terminate()


async def kept(temporal: Client, workflow_id: str) -> list[Payload]:
    """All payloads in a workflow's history."""
    history = await temporal.get_workflow_handle(workflow_id).fetch_history()
    return [payload for event in history.events for payload in within(event)]


def within(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        of_map = descriptor.message_type.GetOptions().map_entry
        several: Any = [value] if isinstance(value, Message) else (value.values() if of_map else value)
        for each in several:
            if isinstance(each, Message):
                yield from within(each)


@pytest.mark.parametrize(
    ("codec", "named"),
    [(EncryptingCodec(NEW), NEW), (EncryptingCodec(OLD), OLD), (OfBefore(OLD), None), (OfBefore(NEW), None)],
    ids=["the key", "a former key", "a former key, of before ids", "the key, of before ids"],
)
async def test_a_history_is_read_whichever_key_wrote_it(
    rotated: Rotated, codec: EncryptingCodec, named: bytes | None
) -> None:
    payloads = await told(rotated.temporal, codec)
    assert len(payloads) == 1 and SAID.encode() not in payloads[0].data
    assert payloads[0].metadata.get(KEY_ID) == (key_id(named).hex().encode() if named else None)
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    opened, as_it_was = await rotated.decode([payloads[0], plain])
    assert (dict(opened.metadata), json.loads(opened.data)) == ({"encoding": b"json/plain"}, SAID)
    assert as_it_was == plain


async def test_a_task_names_its_key_and_its_history_is_read(rotated: Rotated, environment: dict[str, str]) -> None:
    task_id = await rotated.tasks.started(auto_accept=True)
    workflow_id = (await rotated.tasks.wait(task_id, "DONE"))["workflow_id"]
    payloads = [each for each in await kept(rotated.temporal, workflow_id) if each.metadata["encoding"] == ENCODING]
    assert len(payloads) > 2 and {each.metadata[KEY_ID] for each in payloads} == {key_id(NEW).hex().encode()}
    opened = await rotated.decode(payloads)
    assert len(opened) == len(payloads) and ENCODING not in {each.metadata["encoding"] for each in opened}
    assert any(task_id.encode() in each.data for each in opened)

    async def shown(*more: str) -> str:
        """By Temporal's own command line."""
        command = (str(Path(sys.executable).with_name("temporal")), "workflow", "show", "-w", workflow_id, "--detailed")
        address = ("--address", environment["TEMPORAL_ADDRESS"], "--namespace", rotated.temporal.namespace)
        own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, *address, *more, env=own, stdout=pipe, stderr=pipe)
        answered, complained = await asyncio.wait_for(process.communicate(), 30)
        return (answered + complained).decode()

    endpoint = ("--codec-endpoint", rotated.url + DECODE.removesuffix("/decode"))
    sealed, asked = text(ENCODING), await shown(*endpoint, "--codec-auth", f"Bearer {TOKEN}")
    assert sealed in (without := await shown()) and task_id not in without.replace(workflow_id, "")
    assert sealed not in asked and task_id in asked.replace(workflow_id, "")


async def test_what_no_key_opens_comes_back_as_it_was_and_the_log_names_the_key(rotated: Rotated) -> None:
    [sealed] = await EncryptingCodec(NEW).encode([Payload(data=b"1")])
    changed = Payload(metadata=dict(sealed.metadata), data=sealed.data[:-1] + bytes([sealed.data[-1] ^ 1]))
    short = Payload(metadata=dict(sealed.metadata), data=b"x")
    [strange] = await told(rotated.temporal, EncryptingCodec(STRANGE))
    found = await rotated.decode([strange, changed, sealed, short])
    assert [found[0], found[1], found[3]] == [strange, changed, short] and found[2] == Payload(data=b"1")
    log = rotated.api.log.read_text()
    assert f"the key {key_id(STRANGE).hex()}, which this process lacks" in log
    assert "PAVO_TEMPORAL_CODEC_FORMER_KEYS" in log and TOKEN not in log


def body(*payloads: object) -> dict[str, Any]:
    return {"json": {"payloads": list(payloads)}}


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        ({"token": None}, 401, "Authorization"),
        ({"token": None, "headers": {"Authorization": "Bearer"}}, 401, "Authorization"),
        ({"token": TOKEN[:-1]}, 401, "Authorization"),
        ({"token": TOKEN + "x"}, 401, "Authorization"),
        ({"token": None, "headers": {"Authorization": f"Basic {TOKEN}"}}, 401, "Authorization"),
        ({"token": None, "headers": {"X-User-Email": "ada@example.com"}}, 401, "Authorization"),
        ({"token": None, "content": b"no json"}, 401, "Authorization"),
        ({"namespace": "another"}, 403, "X-Namespace"),
        ({"namespace": ""}, 403, "X-Namespace"),
        ({"content": b"{"}, 400, "body"),
        ({"content": b""}, 400, "body"),
        ({"json": []}, 400, "body"),
        ({"json": {"payloads": {}}}, 400, "payloads"),
        (body(1), 400, "payloads.0"),
        (body({}, {"data": "!!!!"}), 400, "payloads.1.data"),
        (body({"data": "A"}), 400, "payloads.0.data"),
        (body({"data": 7}), 400, "payloads.0.data"),
        (body({"data": "é"}), 400, "payloads.0.data"),
        (body({"metadata": {"encoding": "no Base64!"}}), 400, "payloads.0.metadata.encoding"),
        (body(*[{}] * 1_001), 413, "payloads"),
        (body({"data": "A" * 6_000_000}), 413, "body"),
        (body({"metadata": dict.fromkeys(map(str, range(25_000)), "")}), 413, "body"),
    ],
)
async def test_what_is_refused(rotated: Rotated, request_: dict[str, Any], status: int, field: str) -> None:
    answer = await rotated.ask(**{**({} if {"json", "content"} & set(request_) else body()), **request_})
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_JSON), answer.text
    assert answer.json()["field"] == field and answer.json()["remedy"] and TOKEN not in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_bytes_may_be_of_either_alphabet_and_of_what_temporal_keeps_at_most(rotated: Rotated) -> None:
    answer = await rotated.ask(**body({"data": "_-8"}, {"data": "/+8=", "metadata": {}, "more": [None]}, {}))
    assert answer.json() == {"payloads": [{"data": "/+8="}, {"data": "/+8=", "metadata": {}, "more": [None]}, {}]}
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(2_000_000))
    assert await rotated.decode(await EncryptingCodec(OLD).encode([large])) == [large]
    assert (await rotated.ask(json={})).json() == {"payloads": []}


async def test_temporals_ui_may_ask_from_its_own_origin_this_alone(rotated: Rotated) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-namespace"}
    async with httpx2.AsyncClient(base_url=rotated.url, headers={"Origin": UI}) as page:
        preflight = await page.options(DECODE, headers=wanted)
        assert preflight.status_code == 204 and preflight.headers["access-control-allow-origin"] == UI
        allowed = preflight.headers["access-control-allow-headers"].lower()
        assert all(name in allowed for name in ("authorization", "content-type", "x-namespace"))
        assert (await page.options("/api/tasks", headers=wanted)).status_code == 403
        assert (await page.options(DECODE, headers={**wanted, "Origin": "https://evil.example"})).status_code == 403
    for token, status in ((TOKEN, 200), (None, 401)):
        answer = await rotated.ask(token=token, headers={"Origin": UI}, **body())
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, UI)


async def test_without_a_token_there_is_none(client: httpx2.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}"}):
        answer = await client.post(DECODE, json={"payloads": []}, headers=headers)
        assert answer.status_code == 404 and "PAVO_TEMPORAL_CODEC_TOKEN" in answer.json()["remedy"]


@pytest.mark.parametrize("make", [lambda: TOKEN[:31], lambda: f"{TOKEN} {TOKEN}", lambda: "ä" * 40])
def test_a_token_that_could_be_guessed_is_refused_and_not_told(make: Callable[[], str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        create_app(config.load({"PAVO_TEMPORAL_CODEC_TOKEN": make()}))
    assert refused.value.field == "PAVO_TEMPORAL_CODEC_TOKEN" and refused.value.remedy
    assert make() not in f"{refused.value.detail} {refused.value.remedy}"
