"""A scripted model for real coding programs: it has a line added to a file by the program's own tool, then is done.

It answers in three dialects: chat completions, responses, messages. What it does is named by the address:
`http://127.0.0.1:PORT/edit`, or `/nothing` (it is done at once), `/error` (500), `/sleep` (the tool takes minutes and
leaves a process in a session of its own). A key with "bad" in it is refused.
"""

import json
import threading
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

TOOLS = ("bash", "Bash", "shell", "exec_command", "shell_command", "local_shell")
LINE = "hello from the agent"
COMMANDS = {
    "edit": f"printf '{LINE}\\n' >> agent.txt",
    "sleep": "echo start > started; setsid sleep 61 >/dev/null 2>&1 & sleep 62; echo end",
}
DONE = "All done."
Json = dict[str, Any]


def _list(body: Json, name: str) -> Sequence[Json]:
    return body.get(name) or []


class Call:
    """What the model wants, or says."""

    def __init__(self, mode: str, tools: Mapping[str, Any], results: int) -> None:
        name = next((each for each in TOOLS if each in tools), None)
        self.id = uuid.uuid4().hex[:12]
        self.name = name if name and results == 0 and mode in COMMANDS else None
        self.arguments: Json = {}
        if self.name:
            self.arguments = _filled(tools[self.name] or {}, COMMANDS[mode])


def _filled(schema: Json, command: str) -> Json:
    found: Json = {}
    for name, each in schema.get("properties", {}).items():
        if name in ("command", "cmd"):
            found[name] = ["bash", "-c", command] if each.get("type") == "array" else command
        elif name in schema.get("required", []):
            found[name] = "step"
    return found


def _chat(body: Json, mode: str) -> Iterator[tuple[str, Json | str]]:
    tools = {each["function"]["name"]: each["function"].get("parameters") for each in _list(body, "tools")}
    call = Call(mode, tools, sum(each["role"] == "tool" for each in _list(body, "messages")))
    delta: Json = {"role": "assistant", "content": None if call.name else DONE}
    if call.name:
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        delta["tool_calls"] = [{"index": 0, "id": f"call_{call.id}", "type": "function", "function": function}]
    base = {"id": f"chatcmpl-{call.id}", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    reason = "tool_calls" if call.name else "stop"
    yield "", base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield "", base | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield "", base | {"choices": [], "usage": usage}
    yield "", "[DONE]"


def _responses(body: Json, mode: str) -> Iterator[tuple[str, Json | str]]:
    tools = {each["name"]: each.get("parameters") for each in _list(body, "tools") if each["type"] == "function"}
    call = Call(mode, tools, sum(str(each.get("type")).endswith("_output") for each in _list(body, "input")))
    item: Json = {"type": "message", "id": f"msg_{call.id}", "role": "assistant"}
    item["content"] = [{"type": "output_text", "text": DONE, "annotations": []}]
    if call.name:
        item = {"type": "function_call", "id": f"fc_{call.id}", "call_id": f"call_{call.id}", "name": call.name}
        item["arguments"] = json.dumps(call.arguments)
    item["status"] = "completed"
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    answer: Json = {"id": f"resp_{call.id}", "object": "response", "created_at": 1, "model": body["model"]}
    answer |= {"status": "completed", "output": [item], "tools": [], "usage": usage}
    events: list[tuple[str, Json]] = [
        ("response.created", {"response": answer | {"status": "in_progress", "output": []}}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": answer}),
    ]
    for number, (kind, more) in enumerate(events):
        yield kind, {"type": kind, "sequence_number": number, **more}


def _messages(body: Json, mode: str) -> Iterator[tuple[str, Json | str]]:
    tools = {each["name"]: each.get("input_schema") for each in _list(body, "tools")}
    parts = [
        part
        for each in _list(body, "messages")
        if not isinstance(each["content"], str)
        for part in _list(each, "content")
    ]
    call = Call(mode, tools, sum(part.get("type") == "tool_result" for part in parts))
    start: Json = {"type": "text", "text": ""}
    delta: Json = {"type": "text_delta", "text": DONE}
    if call.name:
        start = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message: Json = {"id": f"msg_{call.id}", "type": "message", "role": "assistant", "model": body["model"]}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    ended = {"stop_reason": "tool_use" if call.name else "end_turn", "stop_sequence": None}
    events: list[tuple[str, Json]] = [
        ("message_start", {"message": message}),
        ("content_block_start", {"index": 0, "content_block": start}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": ended, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ]
    for kind, more in events:
        yield kind, {"type": kind, **more}


DIALECTS = {"/chat/completions": _chat, "/responses": _responses, "/messages": _messages}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Whatever else a program looks for: a model of that name."""
        self._whole(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []})

    def do_POST(self) -> None:
        """What the model says next."""
        body = json.loads(self._body() or b"{}")
        path = self.path.partition("?")[0]
        mode = path.split("/")[1]
        key = self.headers.get("authorization", "") + self.headers.get("x-api-key", "")
        dialect = next((say for end, say in DIALECTS.items() if path.endswith(end)), None)
        if "bad" in key:
            error = {"type": "authentication_error", "message": "invalid api key", "code": "invalid_api_key"}
            self._whole(401, {"type": "error", "error": error})
        elif mode == "error":
            self._whole(500, {"type": "error", "error": {"type": "api_error", "message": "boom"}})
        elif dialect is None:
            self._whole(200, {"input_tokens": 10})
        else:
            self._stream(dialect(body, mode))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        whole = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _whole(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[tuple[str, Json | str]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for kind, data in events:
            named = f"event: {kind}\n" if kind else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{named}data: {text}\n\n".encode())


@contextmanager
def model_server() -> Generator[str]:
    """Its address, without a mode."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
