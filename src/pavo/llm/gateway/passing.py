"""An answer on its way to a client of the gateway: chunks as they come, and its end once the answer is recorded."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from pavo.llm.assembling import Chunk
from pavo.llm.client import Told
from pavo.llm.streaming import chunks_of, event

MAX_WAITING_BYTES: Final = 256_000
"""What one client has not taken; of an answer that is further ahead it gets the rest once that is recorded."""


class Passing:
    """Hands the chunks of one answer to one client: an `llm.telling.ToldTries`. Belongs to one event loop.

    A client acts on an answer that has come to its end, so the end waits until it is recorded. What was handed over
    cannot be taken back: after a try that was lost, another one's answer goes on from there, if it begins so.
    """

    def __init__(self, *, usage: bool) -> None:
        self._usage = usage
        self._waiting: deque[tuple[bytes, str]] = deque()
        self._waiting_bytes = 0
        self._end: list[bytes] = []
        """The chunks from the first that says why a choice ends."""
        self._ending = False
        self._open = False
        """Chunks of the present try are handed over."""
        self._handed = False
        self._text: list[str] = []
        """Of the first choice, as it was handed over."""
        self._is_text = True
        """Nothing else was."""
        self._wake = asyncio.Event()

    def begin(self, number: int, before: str | None = None) -> Told:
        """A try begins; of one that is under way before somebody joins the beginning is missing."""
        self._open = before is None and not self._handed
        self._end, self._ending = [], False
        return self._take

    def close(self) -> None:
        """The client has gone."""
        self._open = False
        self._waiting.clear()
        self._end.clear()

    def _take(self, chunk: Chunk) -> None:
        if not self._open or not chunk.speaks:
            return
        frame = b"data: " + chunk.data.translate(None, b"\r\n") + b"\n\n"
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MAX_WAITING_BYTES or not _is_sound(chunk.text):
            self._open = False
            return
        self._ending = self._ending or chunk.ends
        if self._ending:
            self._end.append(frame)
            return
        self._waiting.append((frame, chunk.text))
        self._text.append(chunk.text)
        self._handed, self._is_text = True, self._is_text and chunk.is_text
        self._wake.set()

    def taken(self) -> list[tuple[bytes, str]]:
        """What the client is sent next: chunks, and what each adds to the text of the first choice."""
        frames = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = sum(map(len, self._end))
        return frames

    async def more(self, asking: asyncio.Task[Any], seconds: float) -> bool:
        """Wait until there is more, or the answer is recorded; whether that was so in time."""
        asking.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            asking.remove_done_callback(self._ended)
        self._wake.clear()
        return True

    def _ended(self, _: object) -> None:
        self._wake.set()

    @property
    def said(self) -> str:
        """The text of the first choice, as far as it was handed over."""
        return "".join(self._text)

    @property
    def begun(self) -> bool:
        """Whether anything was handed over."""
        return self._handed

    def rest(self, answer: Mapping[str, Any]) -> list[bytes] | None:
        """What the client lacks of a recorded answer; None: that does not go on from what it has."""
        chunks = list(chunks_of(answer, usage=self._usage))
        if self._open and (self._handed or self._ending):
            ends = [event(chunk) for chunk in chunks if _says_why(chunk)]
            return [*(self._end or ends), *(event(chunk) for chunk in chunks if not chunk["choices"])]
        if self._handed:
            known, first = self.said, answer["choices"][0]
            text = first["message"].get("content") or ""
            if not self._is_text or not text.startswith(known):
                return None
            message = {name: value for name, value in first["message"].items() if name != "role"}
            first = {**first, "message": {**message, "content": text[len(known) :]}}
            chunks = chunks_of({**answer, "choices": [first, *answer["choices"][1:]]}, usage=self._usage)
        return [event(chunk) for chunk in chunks]


def _is_sound(text: str) -> bool:
    """Whether it is recorded as it is: some servers send half a character in each of two chunks."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _says_why(chunk: Mapping[str, Any]) -> bool:
    """Whether it says why a choice ends."""
    return any(choice["finish_reason"] for choice in chunk["choices"])
