"""One attempt against receivers that misbehave: each ends as an outcome, within its time and its bytes."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pavo.config import parse_networks
from pavo.webhooks.domain import Outcome
from pavo.webhooks.sender import HEAD_BYTES, Sender
from tests.webhooks.receiver import Receiver, hang, receiving

HERE = parse_networks("127.0.0.0/8")
SECONDS = 1.0


@pytest.fixture
def sender() -> Iterator[Sender]:
    found = Sender(HERE, SECONDS)
    yield found
    found.close()


async def post(sender: Sender, url: str) -> Outcome:
    begun = time.monotonic()
    outcome = await sender.post(url, {"webhook-id": "1"}, b"{}")
    assert time.monotonic() - begun < SECONDS + 2
    return outcome


async def test_it_arrives_as_it_was_given(sender: Sender) -> None:
    async with receiving() as receiver:
        outcome = await post(sender, receiver.url)
        assert (outcome.status, outcome.error) == (204, None)
        (got,) = receiver.got
        assert got.body == b"{}" and got.headers["webhook-id"] == "1"
        assert got.headers["host"] == f"127.0.0.1:{receiver.port}" and got.headers["content-type"] == "application/json"


async def trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000)
        await writer.drain()


async def flood_of_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def close(_: asyncio.StreamWriter) -> None:
    return


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (hang, "no answer within 1 s"),
        (trickle, "no answer within"),
        (flood, f"more than {HEAD_BYTES} bytes"),
        (close, "closed"),
    ],
)
async def test_who_misbehaves_costs_bounded_time_and_memory(sender: Sender, behaviour: Any, told: str) -> None:
    async with receiving() as receiver:
        receiver.behaviour = behaviour
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = await post(sender, receiver.url)
        assert outcome.status is None and told in (outcome.error or ""), outcome
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"


async def test_an_endless_body_is_not_read(sender: Sender) -> None:
    async with receiving() as receiver:
        receiver.behaviour = flood_of_body
        outcome = await post(sender, receiver.url)
        assert (outcome.status, outcome.error) == (200, None) and outcome.seconds < SECONDS


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", 500, "It answered 500."),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", 302, "redirect, which is not followed"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", None, "no HTTP"),
        (b"\x16\x03\x01\xff\xff\r\n\r\n", None, "no HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10, None, "interim"),
        (b"HTTP/1.1 20", None, "closed the connection"),
    ],
)
async def test_answers_that_do_not_take_it(sender: Sender, answer: bytes, status: int | None, told: str) -> None:
    async with receiving() as receiver:
        receiver.answer = answer
        outcome = await post(sender, receiver.url)
        assert outcome.status == status and told in (outcome.error or "") and len(receiver.got) == 1


async def test_a_receiver_may_ask_for_time(sender: Sender) -> None:
    async with receiving() as receiver:
        receiver.answer = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\n\r\n"
        assert (await post(sender, receiver.url)).retry_after == 7
        receiver.answer = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nRetry-After: soon\r\n\r\n"
        outcome = await post(sender, receiver.url)
        assert (outcome.status, outcome.error, outcome.retry_after) == (200, None, None)


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "0x7f.1", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]"]
)
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_without_permission_nothing_goes_to_this_machine(name: str, scheme: str) -> None:
    """By no spelling, with or without TLS; what is allowed is another network."""
    sender = Sender(parse_networks("10.0.0.0/8"), SECONDS)
    async with receiving() as receiver:
        outcome = await post(sender, f"{scheme}://{name}:{receiver.port}/")
        assert outcome.status is None and outcome.error and receiver.got == [] and receiver.most_at_once == 0
        assert "may be sent to" in outcome.error or "cannot be resolved" in outcome.error
    sender.close()


async def test_without_tls_only_to_networks_that_are_allowed(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("93.184.215.14"))
    assert "without TLS" in ((await post(sender, "http://receiver.example/")).error or "")


def answering(*addresses: str) -> Any:
    """A name server of the attacker's: another answer each time that it is asked."""
    answers = iter(addresses)

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    return getaddrinfo


async def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when checked, private when connected to. Here 127.0.0.9 is checked, where nobody listens;
    the second answer would be the receiver."""
    sender = Sender(parse_networks("127.0.0.9/32"), SECONDS)
    async with receiving() as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.9", "127.0.0.1", "127.0.0.1"))
        outcome = await post(sender, f"http://rebinding.example:{receiver.port}/")
        assert "cannot be reached" in (outcome.error or "") and receiver.most_at_once == 0
    sender.close()


async def test_a_name_server_that_hangs_takes_no_longer_than_an_attempt(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        time.sleep(3)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    outcome = await post(sender, "https://slow.example/")
    assert "no answer within" in (outcome.error or "")


async def test_a_port_where_nobody_listens(sender: Sender) -> None:
    gone = Receiver()
    async with receiving() as receiver:
        gone.port = receiver.port
    assert "cannot be reached" in ((await post(sender, gone.url)).error or "")
