"""An MCP server on standard input and output that does what a test wants. It needs nothing installed.

    python bad_server.py FOLDER [MODE]

It tells in FOLDER/told what it did, and is slow to die: SIGTERM it ignores.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
MODE = sys.argv[2] if len(sys.argv) > 2 else "ok"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": False}
NAMES = [
    "ok",
    "structured",
    "env",
    "key",
    "hang",
    "hold",
    "block",
    "crash",
    "giant",
    "flood",
    "endless",
    "lie",
    "fails",
]
NAMES += ["wrong", "refuses", "garbage", "grows", "child", "errors", "nul"]
TOOLS: list[dict[str, Any]] = [{"name": name, "description": name, "inputSchema": TEXT} for name in NAMES]


def tell(text: str) -> None:
    with (FOLDER / "told").open("a") as told:
        told.write(f"{text}\n")


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def call(number: int, name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> None:
    tell(name)
    if name in BEHAVIOURS:
        BEHAVIOURS[name]()
    if name == "hang":
        return
    if name in ERRORS:
        send(id=number, error=ERRORS[name])
    else:
        send(id=number, result=result(name, arguments.get("text", ""), meta))


def hold() -> None:
    while (FOLDER / "hold").exists():
        time.sleep(0.02)


def crash() -> None:
    sys.stderr.write("out of \x1b[31mluck\n")
    sys.stderr.flush()
    os._exit(3)


def flood() -> None:
    while True:
        send(method="notifications/message", params={"level": "info", "data": "x"})


def endless() -> None:
    while True:
        sys.stdout.write("x" * 1_000_000)


def grow() -> None:
    TOOLS.append({"name": "late", "inputSchema": {"type": "object"}})
    send(method="notifications/tools/list_changed")


BEHAVIOURS: dict[str, Callable[[], Any]] = {
    "hold": hold,
    "block": lambda: time.sleep(1000),
    "crash": crash,
    "flood": flood,
    "endless": endless,
    "garbage": lambda: print("this is no message", flush=True),
    "grows": grow,
    "errors": lambda: sys.stderr.write("y" * 50_000_000),
}
ERRORS = {
    "wrong": {"code": -32602, "message": "text is no number"},
    "refuses": {"code": -32000, "message": "not today"},
}
RESULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "structured": lambda _: {**said("a text"), "structuredContent": {"n": [1, None]}},
    "env": lambda _: said("\n".join(f"{key}={value}" for key, value in sorted(os.environ.items()))),
    "key": lambda meta: said(str(meta.get("pavo/idempotencyKey"))),
    "giant": lambda _: said("x" * 5_000_000),
    "lie": lambda _: {"content": "no list", "isError": "perhaps"},
    "nul": lambda _: said("a\0b"),
    "fails": lambda _: {**said("no such customer"), "isError": True},
    "child": lambda _: said(str(subprocess.Popen(["sleep", "1000"]).pid)),
}


def result(name: str, text: str, meta: dict[str, Any]) -> Any:
    return RESULTS[name](meta) if name in RESULTS else said(text or "ok")


def listed(cursor: str | None) -> dict[str, Any]:
    if MODE == "endless-list":
        return {"tools": TOOLS[:1], "nextCursor": f"{cursor or ''}x"}
    if MODE != "odd":
        return {"tools": TOOLS}
    hints = {"readOnlyHint": True}
    odd = [
        {"name": "search the web!", "inputSchema": TEXT, "annotations": hints},
        {"name": "x" * 100, "inputSchema": TEXT, "annotations": {"idempotentHint": True, "destructiveHint": True}},
        {"name": "broken", "inputSchema": {"type": "object", "properties": {"a": {"type": "nothing"}}}},
        {"name": "large", "inputSchema": {"type": "object", "description": "x" * 60_000}},
        {"name": "twice", "description": "the first\u202e", "inputSchema": TEXT},
        {"name": "twice", "description": "the second", "inputSchema": TEXT},
        {"name": "hidden", "inputSchema": TEXT},
    ]
    return {"tools": odd}


def answer(message: dict[str, Any]) -> None:
    number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if number is None:
        return
    match method:
        case "initialize":
            about = {"capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "bad", "version": "1"}}
            send(id=number, result={"protocolVersion": params["protocolVersion"], **about})
        case "tools/list":
            send(id=number, result=listed(params.get("cursor")))
        case "tools/call":
            call(number, params["name"], params.get("arguments") or {}, params.get("_meta") or {})
        case "ping":
            send(id=number, result={})
        case _:
            send(id=number, error={"code": -32601, "message": "unknown"})


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(f"pid {os.getpid()}")
    if MODE == "exit":
        sys.exit("no licence")
    if MODE == "mute":
        time.sleep(1000)
    for line in sys.stdin:
        answer(json.loads(line))


if __name__ == "__main__":
    main()
