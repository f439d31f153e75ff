"""A scripted OpenAI-compatible server, a process of its own: `python scripted_server.py PORT FOLDER`.

A test says what it wants answered by `PUT /scripts/NAME`, and asks with `"user": "NAME"`, so that tests beside each
other do not mix. What it was asked is written to FOLDER before anything is answered: one that is killed and started
again knows its scripts and goes on counting.

A script: {"answers": [ANSWER, …], "formed": [ANSWER, …], "key": KEY | null}; those of `formed`, where it is given, go
to requests with a `response_format`. The answer to a request is that of its turn, the number of
the assistant's messages in it; the last one for all that follow. With a KEY, any other key is refused (401). With
"again": BEGINNING, calls of tools whose results begin so are made once more, in a turn that does not count. With
"brief": true only the last message of each request is kept.

ANSWER: {"text": "…", "tools": [{"name": …, "arguments": {…}}, …], "faults": [FAULT, …], "hold": true | TEXT,
"pause": SECONDS, "unless": TEXT, "take": {NAME: PATTERN}}. <NAME> in it stands for what the PATTERN's group found last
in what tools have answered; "<NAME>" for a number where that is one. The first requests of this turn (told apart by
what they ask) each get a fault; those that follow the answer. With `hold` it is answered by half (where the last
message holds TEXT, if that is given), and goes on after `POST /scripts/NAME/release`. Where the last message holds the
TEXT of `unless`, the last answer is given.

FAULT: {"status": 429, "headers": {…}, "body": {…}}, {"cut": N}, {"stall": N} after so many chunks, {"malformed": true},
{"empty": true} (no choices), {"giant": BYTES}, {"line": BYTES} (an event without an end), {"raw": "…"} as the body of a
stream, {"packed": true}, {"whole": true} (JSON though a stream was asked for), {"error": "…"} in mid-stream,
{"lingers": true}: the answer, whose stream has no end.

`GET /scripts/NAME`: {"calls": {HASH: how often it was asked}, "answered": {HASH: how often in full}, "requests": […],
"connections": over how many}.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

AGAIN = "Once more."
FILLER = "x" * 8192


class Script:
    """What one test wants answered, and what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: dict[str, Any] = {"answers": [{"text": "Yes."}]}
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.connections: set[int] = set()
        self.released = asyncio.Event()
        self.held = [self.released]
        if path.exists():
            for line in path.read_text().splitlines():
                self.take(json.loads(line))

    def note(self, **what: Any) -> None:
        """Keep it before anything is done about it."""
        with self.path.open("a") as file:
            file.write(json.dumps(what) + "\n")
        self.take(what)

    def take(self, what: dict[str, Any]) -> None:
        if "script" in what:
            self.told, self.released = what["script"], asyncio.Event()
            self.held.append(self.released)
        elif "asked" in what:
            self.calls[what["asked"]] += 1
            self.requests.append(what["request"])
        elif "answered" in what:
            self.answered[what["answered"]] += 1
        else:
            for each in self.held:
                each.set()

    def shown(self) -> dict[str, Any]:
        told = {"calls": self.calls, "answered": self.answered, "requests": self.requests}
        return {**told, "connections": len(self.connections)}


class Cut(Exception):
    """The connection is to be cut."""


class Server:
    """All scripts of one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scripts: dict[str, Script] = {}

    def script(self, name: str) -> Script:
        if name not in self.scripts:
            safe = hashlib.sha256(name.encode()).hexdigest()[:32]
            self.scripts[name] = Script(self.folder / safe)
        return self.scripts[name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.answer(reader, writer):
                await writer.drain()
        except (Cut, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.split("\r\n")
        headers = dict(each.split(": ", 1) for each in rest if ": " in each)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = line.split(" ")
        if path.startswith("/scripts/"):
            reply(writer, 200, self.control(method, path.split("/")[2:], body))
        elif path.endswith("/chat/completions"):
            await self.complete(writer, json.loads(body), headers)
        else:
            reply(writer, 404, {"error": {"message": f"no such path {path}"}})
        return True

    def control(self, method: str, path: list[str], body: bytes) -> Any:
        script = self.script(path[0])
        if method == "PUT":
            script.note(script=json.loads(body))
        elif method == "POST":
            script.note(released=True)
        return script.shown()

    async def complete(self, writer: asyncio.StreamWriter, request: dict[str, Any], headers: dict[str, str]) -> None:
        script = self.script(request.get("user", ""))
        released = script.released
        meant = {name: value for name, value in request.items() if name not in ("stream", "stream_options")}
        name = hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:16]
        noted = {**request, "messages": request["messages"][-1:]} if script.told.get("brief") else request
        script.note(asked=name, request=noted)
        script.connections.add(writer.get_extra_info("peername")[1])
        key = script.told.get("key")
        if key and headers.get("authorization") != f"Bearer {key}":
            wrong = headers.get("authorization", "").removeprefix("Bearer ")
            reply(
                writer, 401, {"error": {"message": f"Incorrect API key provided: {wrong}", "code": "invalid_api_key"}}
            )
            return None
        told = told_to(script, request)
        faults = told.get("faults", [])
        if script.calls[name] <= len(faults):
            return await fault(writer, request, told, faults[script.calls[name] - 1])
        await asyncio.sleep(told.get("pause", 0))
        if request.get("stream"):
            parts = list(chunks(request, told))
            begin_stream(writer)
            for number, part in enumerate(parts):
                if number == len(parts) // 2 and holds(told, request):
                    await writer.drain()
                    await released.wait()
                write_chunk(writer, part)
            write_chunk(writer, b"data: [DONE]\n\n")
            writer.write(b"0\r\n\r\n")
        else:
            reply(writer, 200, whole(request, told))
        return script.note(answered=name)


def told_to(script: Script, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of this turn."""
    turn = sum(each["role"] == "assistant" and each["content"] != AGAIN for each in request["messages"])
    answers = script.told["answers"]
    if "response_format" in request:
        answers = script.told.get("formed", answers)
    told = answers[min(turn, len(answers) - 1)]
    if "unless" in told and told["unless"] in str(request["messages"][-1].get("content")):
        told = answers[-1]
    if failed := failed_calls(request, script.told.get("again")):
        told = {"text": AGAIN, "tools": failed}
    return taken(told, request)


def failed_calls(request: dict[str, Any], beginning: str | None) -> list[dict[str, Any]]:
    """The calls of the last answer that have failed."""
    if beginning is None:
        return []
    calls: dict[str, Any] = {}
    failed: list[dict[str, Any]] = []
    for message in request["messages"]:
        if message["role"] == "assistant":
            calls, failed = {call["id"]: call["function"] for call in message.get("tool_calls") or ()}, []
        elif message["role"] == "tool" and str(message["content"]).startswith(beginning):
            call = calls[message["tool_call_id"]]
            failed.append({"name": call["name"], "arguments": json.loads(call["arguments"])})
    return failed


def taken(told: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The answer, with what it takes from what tools have answered."""
    said = "\n".join(str(each.get("content")) for each in request["messages"] if each["role"] == "tool")
    text = json.dumps(told)
    for name, pattern in told.get("take", {}).items():
        found = (re.findall(pattern, said) or ["nothing"])[-1]
        text = text.replace(f'"<{name}>"', found) if found.isdecimal() else text
        text = text.replace(f"<{name}>", json.dumps(found)[1:-1])
    return json.loads(text)


def holds(told: dict[str, Any], request: dict[str, Any]) -> bool:
    hold = told.get("hold", False)
    return hold if isinstance(hold, bool) else hold in request["messages"][-1]["content"]


def reply(writer: asyncio.StreamWriter, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    body = json.dumps(value).encode()
    more = "".join(f"{name}: {text}\r\n" for name, text in (headers or {}).items())
    head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)


def begin_stream(writer: asyncio.StreamWriter, more: str = "") -> None:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n{more}\r\n"
    )
    writer.write(head.encode())


def write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def base(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": request.get("model", "")}


def calls_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": each.get("id") or f"call_{number}",
            "type": "function",
            "function": {"name": each["name"], "arguments": text},
        }
        for number, each in enumerate(told.get("tools", []))
        if (text := json.dumps(each["arguments"])) is not None
    ]


def usage_of(request: dict[str, Any], told: dict[str, Any]) -> dict[str, int]:
    prompt = sum(len(str(message.get("content"))) for message in request["messages"]) // 4 + 1
    completion = len(told.get("text") or "") // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def whole(request: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": told.get("text")}
    if calls := calls_of(told):
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {**base(request, "chat.completion"), "choices": [choice], "usage": usage_of(request, told)}


def chunks(request: dict[str, Any], told: dict[str, Any]) -> Iterator[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return event({**base(request, "chat.completion.chunk"), "choices": choices, **more})

    yield chunk({"role": "assistant", "content": ""})
    text = told.get("text") or ""
    for at in range(0, len(text), 7):
        yield chunk({"content": text[at : at + 7]})
    calls = calls_of(told)
    for index, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        yield chunk({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]})
        for part in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, "tool_calls" if calls else "stop")
    yield event({**base(request, "chat.completion.chunk"), "choices": [], "usage": usage_of(request, told)})


async def fault(writer: asyncio.StreamWriter, request: Any, told: Any, what: dict[str, Any]) -> None:
    if "status" in what:
        body = what.get("body", {"error": {"message": f"scripted {what['status']}", "type": "scripted"}})
        return reply(writer, what["status"], body, what.get("headers"))
    if "whole" in what:
        return reply(writer, 200, whole(request, told))
    begin_stream(writer, "content-encoding: gzip\r\n" if "packed" in what else "")
    if "cut" in what or "stall" in what:
        return await break_off(writer, list(chunks(request, told)), what)
    if "lingers" in what:
        return await break_off(writer, [*chunks(request, told), b"data: [DONE]\n\n"], {"stall": 10**6})
    for part in broken(request, told, what):
        write_chunk(writer, part)
        await writer.drain()
    write_chunk(writer, b"data: [DONE]\n\n")
    return writer.write(b"0\r\n\r\n")


async def break_off(writer: asyncio.StreamWriter, parts: list[bytes], what: dict[str, Any]) -> None:
    for part in parts[: what.get("cut", what.get("stall"))]:
        write_chunk(writer, part)
    await writer.drain()
    if "stall" in what:
        await asyncio.sleep(600)
    raise Cut


def broken(request: Any, told: Any, what: dict[str, Any]) -> Iterator[bytes]:
    """The parts of a stream that is no answer."""
    first, about = next(chunks(request, told)), base(request, "chat.completion.chunk")
    if "giant" in what:
        big = {"index": 0, "delta": {"content": FILLER}, "finish_reason": None}
        yield from repeat(event({**about, "choices": [big]}), what["giant"] // len(FILLER) + 1)
    elif "line" in what:
        yield b"data: "
        yield from repeat(FILLER.encode(), what["line"] // len(FILLER) + 1)
    elif "malformed" in what:
        yield first + b'data: {"choices": [{"delta": \n\n'
    elif "empty" in what:
        yield event({**about, "choices": []})
    elif "error" in what:
        yield first + event({"error": {"message": what["error"], "code": 502}})
    else:
        yield what.get("raw", "").encode()


async def main(port: int, folder: Path) -> None:
    server = await asyncio.start_server(Server(folder).serve, "127.0.0.1", port, limit=2**25)
    print("READY", flush=True)
    async with server:
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
