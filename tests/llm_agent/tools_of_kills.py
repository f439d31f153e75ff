"""The tools of `test_kills`, as an MCP server on standard input and output: `python tools_of_kills.py FOLDER`.

FOLDER/told has its process id, and a line for each call when it begins: tool, idempotency key, argument, moment.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECONDS = 0.15
EFFECTS = {"look": "read", "put": "idempotent", "pay": "unsafe"}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
_speaking = threading.Lock()


def tell(folder: Path, text: str) -> None:
    with (folder / "told").open("a") as told:
        told.write(f"{text}\n")


def send(number: Any, result: Any) -> None:
    with _speaking:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}) + "\n")
        sys.stdout.flush()


def call(folder: Path, number: Any, params: dict[str, Any]) -> None:
    name, n = params["name"], params["arguments"]["n"]
    tell(folder, f"{name} {params['_meta']['pavo/idempotencyKey']} {n} {time.time()}")
    time.sleep(SECONDS)
    send(number, {"content": [{"type": "text", "text": f"{name} {n} is done"}]})


def main(folder: Path) -> None:
    tell(folder, f"pid {os.getpid()}")
    for line in sys.stdin:
        message = json.loads(line)
        number, params = message.get("id"), message.get("params") or {}
        if number is None:
            continue
        if message["method"] == "tools/call":
            threading.Thread(target=call, args=(folder, number, params), daemon=True).start()
        elif message["method"] == "initialize":
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "kills", "version": "1"}}
            send(number, {"protocolVersion": params["protocolVersion"], **about})
        elif message["method"] == "tools/list":
            send(number, {"tools": [{"name": name, "description": name, "inputSchema": NUMBER} for name in EFFECTS]})
        else:
            send(number, {})


def configured(folder: Path) -> Path:
    """The file that names the server to a worker."""
    server = {"command": sys.executable, "args": ["-S", __file__, str(folder)], "effects": EFFECTS, "call_seconds": 10}
    path = folder / "servers.json"
    path.write_text(json.dumps({"mcpServers": {"kills": server}}))
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]))
