"""A model that calls a tool so often, and then says that it is done: `python -m bench.thinking.model_server PORT`.

It speaks as much of OpenAI's chat completions as clients need. The first message of the user tells how:
`rounds-25-after-0.5` calls the tool 25 times, each answer after half a second; with `-tokens-50` behind it half a
second is what its text takes, which is streamed in 50 pieces.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import uvloop

MODEL = "scripted"
TOOL = "bench_lookup"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", port, limit=2**26, backlog=512)
    async with server:
        await server.serve_forever()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(next(line for line in head.split("\r\n") if line.startswith("content-length:"))[15:])
            request = json.loads(await reader.readexactly(size))
            first = next(each["content"] for each in request["messages"] if each["role"] == "user")
            _, rounds, _, after, *more = first.split("-")
            tokens = int(more[1]) if more else 0
            if not tokens:
                await asyncio.sleep(float(after))
            pieces = _pieces(_response(request, int(rounds), tokens), tokens)
            begun = asyncio.get_running_loop().time()
            for number, piece in enumerate(pieces, 1):
                if tokens:  # by the clock: many small pauses are longer than they say
                    due = begun + float(after) * number / len(pieces)
                    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                writer.write(piece)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _pieces(response: bytes, tokens: int) -> list[bytes]:
    """As it is sent: whole, or event by event."""
    if not tokens:
        return [response]
    head, _, body = response.partition(b"\r\n\r\n")
    events = [each + b"\n\n" for each in body.split(b"\n\n") if each]
    return [head + b"\r\n\r\n" + events[0], *events[1:]]


def _response(request: dict[str, Any], rounds: int, tokens: int = 0) -> bytes:
    done = sum(message["role"] == "assistant" for message in request["messages"])
    calls = [{"query": f"number {done}"}] if done < rounds else []
    said = "Let me look that up." if calls else "That is all."
    tools = [
        {"id": f"call-{done}", "type": "function", "function": {"name": TOOL, "arguments": json.dumps(arguments)}}
        for arguments in calls
    ]
    about = {"id": "answer", "created": 1, "model": request["model"]}
    ended = "tool_calls" if tools else "stop"
    if not request.get("stream"):
        message = {"role": "assistant", "content": said, **({"tool_calls": tools} if tools else {})}
        choice = {"index": 0, "message": message, "finish_reason": ended}
        body = json.dumps({**about, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
        return _http("application/json", body)
    texts = [f"word {number} " for number in range(tokens)] or [said]
    chunks: list[dict[str, Any]] = [{"role": "assistant", "content": text} for text in texts]
    chunks += [{"tool_calls": [{"index": index, **each}]} for index, each in enumerate(tools)]
    return _http("text/event-stream", b"".join(_events(about, chunks, ended)))


def _events(about: dict[str, Any], chunks: list[dict[str, Any]], ended: str) -> Iterator[bytes]:
    head = {**about, "object": "chat.completion.chunk"}
    for delta in chunks:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": ended}]})
    yield _event({**head, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _http(media_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
