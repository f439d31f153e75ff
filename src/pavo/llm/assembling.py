"""A streamed answer, put together as it would have come in one piece. Nothing that a server says is taken on trust."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from pavo.kit.json_values import NotStorable, plain

MAX_ANSWER_BYTES: Final = 4_000_000
"""Of an answer, put together."""
MAX_LINE_BYTES: Final = 8_000_000
"""Of one event of a stream."""
MAX_TOLD: Final = 500
"""Characters of an error that comes in the place of an answer."""
_ONCE: Final = frozenset(("role", "id", "type", "name"))
"""Texts that come whole, some servers' with each chunk."""


class Malformed(ValueError):
    """It is no answer of a model; the text says why."""


class TooMuch(ValueError):
    """It is longer than may be kept; the text says how long."""


class ServerSentEvents:
    """Splits a stream into the data of its events; holds one event at most."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that this piece completes.

        Raises:
            TooMuch: one of them has no end.
        """
        self._rest += piece
        if len(self._rest) > MAX_LINE_BYTES:
            raise TooMuch(f"an event of more than {MAX_LINE_BYTES:,} bytes")
        if b"\n" not in piece:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield from self._line(bytes(line.removesuffix(b"\r")))

    def end(self) -> Iterator[bytes]:
        """What came last, where no empty line followed."""
        yield from self._line(bytes(self._rest))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer that is none yet."""

    data: bytes
    """As it came: JSON."""
    text: str
    """What it adds to the text of the first choice."""
    speaks: bool
    """Whether it says anything: others tell what was used."""
    is_text: bool
    """Whether that text is all that it says."""
    ends: bool
    """Whether a choice says why it ends."""


class Assembly:
    """Puts the chunks of an answer together."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._usage: Any = None
        self._choices: dict[int, _Choice] = {}
        self._size = 0

    @property
    def is_whole(self) -> bool:
        """Whether each of its choices has said why it ends."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def add(self, data: bytes) -> Chunk:
        """Add a chunk.

        Raises:
            Malformed: it is none.
            TooMuch: there is too much of it.
        """
        self._size += len(data)
        if self._size > 32 * MAX_ANSWER_BYTES:
            raise TooMuch(f"more than {32 * MAX_ANSWER_BYTES:,} bytes of chunks")
        chunk = _object(parsed(data), "a chunk")
        _no_error(chunk)
        for name, value in chunk.items():
            if name not in ("choices", "usage", "object") and value is not None:
                self._top[name] = value
        self._usage = chunk.get("usage") or self._usage
        added, choices = "", _objects(chunk.get("choices") or [], "choices")
        for choice in choices:
            index = choice.get("index", 0)
            if type(index) is not int:
                raise Malformed("the index of a choice is no number")
            text = self._choices.setdefault(index, _Choice()).add(choice)
            added += text if index == 0 else ""
        if sum(choice.size for choice in self._choices.values()) > MAX_ANSWER_BYTES:
            raise TooMuch(f"more than {MAX_ANSWER_BYTES:,} bytes")
        ends = any(choice.get("finish_reason") for choice in choices)
        return Chunk(data, added, bool(choices), all(map(_is_text, choices)), ends)

    def answer(self) -> dict[str, Any]:
        """The chat completion.

        Raises:
            Malformed: it has no choices.
        """
        choices = [self._choices[index].whole(index) for index in sorted(self._choices)]
        return checked({**self._top, "object": "chat.completion", "choices": choices, "usage": self._usage})


class _Texts(list[str]):
    """Pieces of one text."""


class _Choice:
    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.size = 0
        self._parts: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: Any = None

    def add(self, choice: Mapping[str, Any]) -> str:
        reason = choice.get("finish_reason")
        self.finish_reason = reason if isinstance(reason, str) else self.finish_reason
        self._logprobs = choice.get("logprobs") or self._logprobs
        delta = dict(_object(choice.get("delta") or choice.get("message") or {}, "a delta"))
        for call in _objects(delta.pop("tool_calls", None) or [], "tool_calls"):
            self._add_call(call)
        self._merge(self._parts, delta)
        text = delta.get("content")
        return text if isinstance(text, str) else ""

    def _add_call(self, call: Mapping[str, Any]) -> None:
        index = call.get("index")
        if type(index) is not int:  # some servers send calls whole, without numbers
            index = len(self._calls) if call.get("id") or not self._calls else max(self._calls)
        self._merge(self._calls.setdefault(index, {}), {name: value for name, value in call.items() if name != "index"})

    def _merge(self, into: dict[str, Any], more: Mapping[str, Any]) -> None:
        for name, value in more.items():
            known = into.get(name)
            if isinstance(value, str):
                self.size += len(value)
                if name in _ONCE:
                    into[name] = known or value
                elif isinstance(known, _Texts):
                    known.append(value)
                else:
                    into[name] = _Texts((value,))
            elif isinstance(value, dict):
                inner = cast(dict[str, Any], known) if isinstance(known, dict) else {}
                self._merge(inner, cast(Mapping[str, Any], value))
                into[name] = inner
            elif isinstance(value, list) and isinstance(known, list):
                into[name] = [*cast(list[Any], known), *cast(list[Any], value)]
            elif value is not None:
                into[name] = value

    def whole(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, **_joined(self._parts)}
        if self._calls:
            message["tool_calls"] = [{"type": "function", **_joined(self._calls[each])} for each in sorted(self._calls)]
        reason = self.finish_reason or ("tool_calls" if self._calls else "stop")
        whole = {"index": index, "message": message, "finish_reason": reason}
        return {**whole, "logprobs": self._logprobs} if self._logprobs else whole


def _is_text(choice: Mapping[str, Any]) -> bool:
    """Whether a chunk's choice says nothing but text of the first one."""
    delta = cast(Mapping[str, Any], choice.get("delta") or choice.get("message") or {})
    said = {name for name, value in delta.items() if value not in (None, "", [])}
    alone = choice.get("index", 0) == 0 and not choice.get("logprobs")
    return alone and said <= {"role", "content"} and isinstance(delta.get("content") or "", str)


def parsed(data: bytes) -> Any:
    """What JSON says.

    Raises:
        Malformed: it is none.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass  # it may hold half a character, which the other reader takes
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error


def checked(answer: Any) -> dict[str, Any]:
    """A chat completion as it can be kept: with choices that have messages.

    Raises:
        Malformed: it is none.
        TooMuch: there is too much of it.
    """
    _no_error(_object(answer, "the answer"))
    choices = _objects(answer.get("choices"), "choices")
    if not choices:
        raise Malformed("it has no choices")
    for choice in choices:
        _object(choice.get("message"), "a message")
    try:
        kept, size = plain(answer)
    except NotStorable:
        kept, size = _kept(answer)
    if size > MAX_ANSWER_BYTES:
        raise TooMuch(f"{size:,} bytes")
    return kept


def _kept(answer: Any) -> tuple[Any, int]:
    try:
        return plain(_mended(answer))
    except (NotStorable, RecursionError) as error:
        raise Malformed(str(error)) from error


def _joined(parts: Mapping[str, Any]) -> dict[str, Any]:
    def joined(value: Any) -> Any:
        if isinstance(value, _Texts):
            return "".join(value)
        return _joined(cast(Mapping[str, Any], value)) if isinstance(value, dict) else value

    return {name: joined(value) for name, value in parts.items()}


def _mended(value: Any) -> Any:
    """The same without what PostgreSQL cannot store, and with characters whole that came in two halves."""
    if isinstance(value, str):
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [_mended(each) for each in cast(list[Any], value)]
    if isinstance(value, dict):
        return {_mended(key): _mended(each) for key, each in cast(dict[str, Any], value).items()}
    return value


def _no_error(value: Mapping[str, Any]) -> None:
    """Some servers answer 200, and say what went wrong in the middle."""
    if error := value.get("error"):
        raise Malformed(f"it breaks off with {str(error)[:MAX_TOLD]}")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is {type(value).__name__}, no object")
    return cast(Mapping[str, Any], value)


def _objects(value: object, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise Malformed(f"{what} is {type(value).__name__}, no list")
    return [_object(each, f"an item of {what}") for each in cast(list[object], value)]
