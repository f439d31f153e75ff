"""The APIs that the gateway speaks, two of OpenAI's and one of Anthropic's: requests, and how answers are told."""

import uuid
from collections.abc import Mapping
from typing import Any, Protocol, cast

from pavo.llm.gateway.passing import Passing
from pavo.llm.messages.answers import MessageStream, message_of
from pavo.llm.messages.answers import described as described_by_anthropic
from pavo.llm.messages.requests import chat_request as chat_request_of_message
from pavo.llm.responses.answers import ResponseStream, response_of
from pavo.llm.responses.requests import chat_request, custom_tools
from pavo.llm.streaming import DONE, event


class Dialect(Protocol):
    """One request, and how its client is answered."""

    @property
    def request(self) -> dict[str, Any]:
        """For a chat completion."""
        ...

    @property
    def passing(self) -> Passing | None:
        """What passes its stream on; None: it wants no stream."""
        ...

    def taken(self) -> list[bytes]:
        """What the client is sent of an answer that has no end yet."""
        ...

    def rest(self, answer: Mapping[str, Any]) -> list[bytes] | None:
        """What it is sent in the end; None: that does not go on from what it has."""
        ...

    def failed(self, message: str, code: str) -> list[bytes]:
        """What it is sent where no answer follows."""
        ...

    def whole(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of which there is no stream."""
        ...

    @staticmethod
    def refused(message: str, code: str, status: int) -> Mapping[str, Any]:
        """The body of an answer that is an error."""
        ...


class Chat:
    """Chat completions."""

    def __init__(self, body: dict[str, Any]) -> None:
        options = body.get("stream_options")
        usage = isinstance(options, dict) and bool(cast(dict[str, Any], options).get("include_usage"))
        self.request = body
        self.passing = Passing(usage=usage) if body.get("stream") else None

    def taken(self) -> list[bytes]:
        """Chunks as they came."""
        return [frame for frame, _ in self.passing.taken()] if self.passing else []

    def rest(self, answer: Mapping[str, Any]) -> list[bytes] | None:
        """The chunks that lack."""
        frames = self.passing.rest(answer) if self.passing else None
        return None if frames is None else [*frames, DONE]

    def failed(self, message: str, code: str) -> list[bytes]:
        """A chunk with an error."""
        return [event({"error": described(message, code)})]

    def whole(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The completion itself."""
        return answer

    @staticmethod
    def refused(message: str, code: str, status: int) -> Mapping[str, Any]:
        """In the form of OpenAI's."""
        return {"error": described(message, code)}


class Responses:
    """Responses. Of a stream, texts come as they are made, calls of tools with the end."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.request = chat_request(body)
        self.passing = Passing(usage=False) if body.get("stream") else None
        self._asked, self._custom = body, custom_tools(body)
        self._stream = ResponseStream(body, self._custom, f"resp_{uuid.uuid4().hex}")

    def taken(self) -> list[bytes]:
        """Its text as it comes."""
        texts = "".join(text for _, text in self.passing.taken()) if self.passing else ""
        return self._stream.text(texts) if texts else []

    def rest(self, answer: Mapping[str, Any]) -> list[bytes] | None:
        """Everything that follows on the text."""
        said = self.passing.said if self.passing else ""
        text = answer["choices"][0]["message"].get("content") or ""
        return self._stream.rest(answer, said) if isinstance(text, str) and text.startswith(said) else None

    def failed(self, message: str, code: str) -> list[bytes]:
        """The event that says so."""
        return self._stream.failed(message, code)

    def whole(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response."""
        return response_of(self._asked, answer, self._custom)

    @staticmethod
    def refused(message: str, code: str, status: int) -> Mapping[str, Any]:
        """In the form of OpenAI's."""
        return {"error": described(message, code)}


class Messages:
    """Anthropic's messages. Of a stream, texts come as they are made, calls of tools with the end."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.request = chat_request_of_message(body)
        self.passing = Passing(usage=False) if body.get("stream") else None
        self._asked = body
        self._stream = MessageStream(body, f"msg_{uuid.uuid4().hex[:24]}")

    def taken(self) -> list[bytes]:
        """Its text as it comes."""
        texts = "".join(text for _, text in self.passing.taken()) if self.passing else ""
        return self._stream.text(texts) if texts else []

    def rest(self, answer: Mapping[str, Any]) -> list[bytes] | None:
        """Everything that follows on the text."""
        said = self.passing.said if self.passing else ""
        text = answer["choices"][0]["message"].get("content") or ""
        return self._stream.rest(answer, said) if isinstance(text, str) and text.startswith(said) else None

    def failed(self, message: str, code: str) -> list[bytes]:
        """The event that says so."""
        return self._stream.failed(message, 500)

    def whole(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message."""
        return message_of(self._asked, answer)

    @staticmethod
    def refused(message: str, code: str, status: int) -> Mapping[str, Any]:
        """In the form of Anthropic's."""
        return described_by_anthropic(message, status)


def described(message: str, code: str) -> dict[str, Any]:
    """An error in the form of OpenAI's."""
    return {"message": message, "type": "pavo_error", "code": code, "param": None}
