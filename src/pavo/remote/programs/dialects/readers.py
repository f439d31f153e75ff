"""The dialects of JSON lines: codex, claude-code (and qwen-code), opencode, gemini-cli, pi.

What a program says beyond what is read here is a raw line of the log, and no error: programs change.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pavo.remote.programs.dialects.happenings import (
    Happening,
    Heard,
    Json,
    Reader,
    list_of,
    member,
    shown,
    text_of,
)

Told = Sequence[Happening | None]


def codex(heard: Heard, said: Json) -> Told:
    """`codex exec --json`."""
    match said.get("type"):
        case "item.started" | "item.completed":
            return _codex_item(heard, said, done=said.get("type") == "item.completed")
        case "turn.completed":
            heard.end()
            return [heard.count(member(said, "usage", "input_tokens"), member(said, "usage", "output_tokens"))]
        case "turn.failed":
            heard.end(text_of(said, "error", "message") or "The turn failed.")
            return [Happening("error", heard.error)]
        case "error":
            heard.error = text_of(said, "message") or "It reported an error."
            return [Happening("error", heard.error)]
        case _:
            return []


def _codex_item(heard: Heard, said: Json, *, done: bool) -> Told:
    item = member(said, "item")
    match text_of(item, "type"):
        case "agent_message" if done:
            return [heard.say(text_of(item, "text"))]
        case "command_execution" if done:
            return [Happening("tool_result", shown(member(item, "aggregated_output") or ""), "shell")]
        case "command_execution":
            return [Happening("tool_call", text_of(item, "command"), "shell")]
        case "file_change" if done:
            return [
                Happening("file", text_of(each, "path"), text_of(each, "kind")) for each in list_of(item, "changes")
            ]
        case "mcp_tool_call" if not done:
            return [Happening("tool_call", shown(member(item, "arguments")), text_of(item, "tool"))]
        case _:
            return []


def claude(heard: Heard, said: Json) -> Told:
    """`claude -p --output-format stream-json`, and qwen-code's."""
    match said.get("type"):
        case "assistant":
            return [_claude_block(heard, each) for each in list_of(said, "message", "content")]
        case "user":
            blocks = [each for each in list_of(said, "message", "content") if text_of(each, "type") == "tool_result"]
            return [Happening("tool_result", shown(member(each, "content"))) for each in blocks]
        case "result":
            return _claude_result(heard, said)
        case _:
            return []


def _claude_block(heard: Heard, block: object) -> Happening | None:
    match text_of(block, "type"):
        case "text":
            return heard.say(text_of(block, "text"))
        case "tool_use":
            return Happening("tool_call", shown(member(block, "input")), text_of(block, "name"))
        case _:
            return None


def _claude_result(heard: Heard, said: Json) -> Told:
    # `subtype` says "success" also where the server refused the key: `is_error` decides.
    failed = said.get("is_error") is True or said.get("subtype") not in (None, "success")
    last = text_of(said, "result")
    heard.denied = [text_of(each, "tool_name") for each in list_of(said, "permission_denials")][:20]
    reason = last or shown(member(said, "error", "message") or list_of(said, "errors") or said.get("subtype") or "")
    heard.end((reason or "It failed.") if failed else "")
    if last and not failed:
        heard.say(last)
    usage = member(said, "usage")
    return [
        heard.count(member(usage, "input_tokens"), member(usage, "output_tokens"), total=True),
        *(Happening("error", f"It was not allowed to use {each}.", each) for each in heard.denied),
    ]


def opencode(heard: Heard, said: Json) -> Told:
    """`opencode run --format json`."""
    part = member(said, "part")
    match said.get("type"):
        case "text":
            return [heard.say(text_of(part, "text"))]
        case "tool_use":
            output, tool = member(part, "state", "output"), text_of(part, "tool")  # it is told once it is over
            call = Happening("tool_call", shown(member(part, "state", "input")), tool)
            return [call, Happening("tool_result", shown(output), tool) if output is not None else None]
        case "step_finish":
            if text_of(part, "reason") not in ("tool-calls", "tool_calls", "unknown", ""):
                heard.end()
            return [heard.count(member(part, "tokens", "input"), member(part, "tokens", "output"))]
        case "error":
            told = text_of(said, "error", "data", "message") or text_of(said, "error", "message")
            heard.end(told or shown(said.get("error")) or "It failed.")
            return [Happening("error", heard.error)]
        case _:
            return []


def gemini(heard: Heard, said: Json) -> Told:
    """`gemini -p --output-format stream-json`."""
    match said.get("type"):
        case "message" if said.get("role") == "assistant":
            text = text_of(said, "content")
            if said.get("delta") is True:  # its words come in pieces
                return [heard.say(heard.summary + text)] if text else []
            return [heard.say(text)]
        case "tool_use":
            heard.summary = ""
            return [Happening("tool_call", shown(said.get("parameters")), text_of(said, "tool_name"))]
        case "tool_result":
            return [Happening("tool_result", shown(said.get("output") or said.get("error") or ""))]
        case "error" if said.get("severity") != "warning":
            heard.error = text_of(said, "message") or "It reported an error."
            return [Happening("error", heard.error)]
        case "result":
            good = said.get("status") == "success"
            heard.end("" if good else text_of(said, "error", "message") or "It failed.")
            stats = member(said, "stats")
            return [heard.count(member(stats, "input_tokens"), member(stats, "output_tokens"), total=True)]
        case _:
            return []


def pi(heard: Heard, said: Json) -> Told:
    """`pi -p --mode json`, which ends with exit code 0 also where its server refused the key."""
    match said.get("type"):
        case "message_end" if text_of(said, "message", "role") == "assistant":
            message = member(said, "message")
            failed = text_of(message, "stopReason") in ("error", "aborted")
            heard.error = (text_of(message, "errorMessage") or "Its model failed.") if failed else ""
            words = [text_of(each, "text") for each in list_of(message, "content") if text_of(each, "type") == "text"]
            usage = member(message, "usage")
            return [heard.say("\n".join(words)), heard.count(member(usage, "input"), member(usage, "output"))]
        case "tool_execution_start":
            return [Happening("tool_call", shown(said.get("args")), text_of(said, "toolName"))]
        case "tool_execution_end":
            return [Happening("tool_result", shown(member(said, "result", "content")), text_of(said, "toolName"))]
        case "agent_end":
            heard.end(heard.error)
            return []
        case _:
            return []


_READERS: Final[Mapping[str, Reader]] = {
    "codex": codex,
    "claude": claude,
    "opencode": opencode,
    "gemini": gemini,
    "pi": pi,
}


def read(dialect: str, heard: Heard, line: str) -> list[Happening]:
    """What a line of standard output tells. Whatever it is, this raises nothing."""
    reader = _READERS.get(dialect)
    if reader is None:
        heard.summary = f"{heard.summary}\n{line}".strip()[-2_000:]
        return []
    if not line.lstrip().startswith("{"):
        return []
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return []
    if not isinstance(said, dict):
        return []
    told = cast(Json, _sound(said) if "\\u" in line else said)
    return [each for each in reader(heard, told) if each is not None]


def _sound(value: Any) -> Any:
    """The value without NUL and halves of characters, which JSON can write and nothing else keeps."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_sound(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_sound(name): _sound(each) for name, each in cast("dict[str, Any]", value).items()}
    return value
