"""A connection to Pavo's HTTP API: where it is, who asks, typed answers and errors, repeats, streams of events.

It knows no subject. What does is a class that is given an `ApiClient`, as `task/client.py` for tasks.
"""

import os
import shlex
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any, Final, Protocol, TypeVar

import httpx2
from pydantic import BaseModel

from pavo.cli.encoding import is_text
from pavo.cli.problem_details import error_of
from pavo.deploy.model.state import DEFAULT_URL, find_api_url
from pavo.errors import ConfigurationError, NotFound, OutcomeUnknown, Unavailable

PATIENCE_SECONDS: Final = 20.0
"""How long a command is repeated while the API or a worker restarts: a restart takes one or two."""
STREAM_SILENCE_SECONDS: Final = 25.0
"""The API sends a keep-alive every 10 s: two missed ones mean that the connection is dead."""
COMMAND_SECONDS: Final = 75.0
"""For one request: the API itself waits up to 65 s for a worker to take a command and to carry it out."""
FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 2.0
"""Longest pause between two tries, unless the API asks for a longer one."""


class Numbered(Protocol):
    """An event of a stream; its number is what a new connection names as the last one seen."""

    @property
    def seq(self) -> int:
        """From 1 on, without gaps."""
        ...


AnswerT = TypeVar("AnswerT", bound=BaseModel)
EventT = TypeVar("EventT", bound=Numbered)


def find_url(url: str | None = None, data_dir: Path | None = None) -> str:
    """The API's address: the one given, else as `find_api_url` finds it."""
    return (url or find_api_url(data_dir)).rstrip("/")


_typed_url: ContextVar[str | None] = ContextVar("typed_url", default=None)


def same_api() -> str:
    """What a command that is suggested ends with, to reach the same API: --url, if that was typed."""
    url = _typed_url.get()
    return f" --url {shlex.quote(url)}" if url else ""


class ApiClient:
    """One user's connection to the API. Every method raises `PavoError`s: the API's own, or Unavailable.

    `ask`, `repeat` and `remove` are for what takes effect once however often it is sent: they repeat it by themselves
    while the API or a worker restarts. Not so before the API has answered at all: a missing stack is said at once.

    Args:
        url: the API's base address.
        token: an API token, sent as Bearer.
        user: dev mode: the e-mail address to act as; None is the API's default user.
        patience: seconds during which commands are repeated.
        transport: for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        user: str | None = None,
        patience: float = PATIENCE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._patience = patience
        self._reached = False
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise _bad_url(url) from error
        if base.scheme not in ("http", "https") or not base.host:
            raise _bad_url(url)
        # A proxy set for the internet must not get what is meant for this machine.
        local = base.host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx2.Client(
            base_url=base,
            headers=_identity(token, user),
            timeout=COMMAND_SECONDS,
            trust_env=not local,
            transport=transport,
        )

    @classmethod
    def from_environment(cls, url: str | None = None) -> "ApiClient":
        """As PAVO_URL, PAVO_TOKEN and PAVO_USER say.

        Raises:
            ConfigurationError: one of them cannot be sent.
        """
        _typed_url.set(url)
        return cls(find_url(url), token=header_from("PAVO_TOKEN"), user=header_from("PAVO_USER"))

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, kind: type[AnswerT], method: str, path: str, **request: Any) -> AnswerT:
        """Send what takes effect once, until it is answered for certain, within the patience.

        Args:
            kind: what the answer's JSON is.
            request: as `httpx2.Client.request` takes it: json, params, headers.
        """
        return kind.model_validate_json(self.repeat(method, path, **request).content)

    def repeat(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """As `ask`, where the answer's status matters or it has no JSON."""
        repeats = _Repeats(self._patience)
        while True:
            try:
                return self.send_once(method, path, **request)
            except Unavailable as error:
                if not self._reached:
                    raise
                repeats.wait(error)

    def remove(self, path: str) -> None:
        """DELETE, until it is done for certain.

        Raises:
            NotFound: nothing was there at the first try; at a later one that means that an earlier one did it.
        """
        repeats = _Repeats(self._patience)
        while True:
            try:
                self.send_once("DELETE", path)
                return
            except NotFound:
                if repeats.count == 0:
                    raise
                return
            except Unavailable as error:
                if not self._reached:
                    raise
                repeats.wait(error)

    def send_once(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Send what may take effect again each time that it is sent.

        Raises:
            OutcomeUnknown: it broke off; whether it happened is not known.
        """
        try:
            response = self._http.request(method, path, **request)
        except httpx2.TransportError as error:
            raise self._away(error) from error
        self._reached = True
        if response.is_error:
            raise error_of(response)
        return response

    def download(self, path: str, to: IO[bytes]) -> int:
        """Write a content there as it comes; how many bytes.

        Raises:
            Unavailable: it broke off, or the API is away.
        """
        size = 0
        try:
            with self._http.stream("GET", path, headers={"Accept-Encoding": "identity"}) as response:
                if response.is_error:
                    response.read()
                    raise error_of(response)
                for piece in response.iter_bytes():
                    to.write(piece)
                    size += len(piece)
        except httpx2.TransportError as error:
            raise self._away(error) from error
        return size

    def stream(
        self,
        path: str,
        parse: Callable[[str], EventT],
        after: int = 0,
        beside: Callable[[str, str], None] | None = None,
    ) -> Iterator[EventT]:
        """Follow the events after number `after`, each once, in order, over any number of reconnects.

        Ends when the API says that nothing will follow (204).

        Args:
            path: of a server-sent-events stream that goes on after the number in Last-Event-ID.
            parse: makes an event of a message's data.
            beside: is told name and data of messages that have a name, which are none of the events.

        Raises:
            NotFound: there is no such stream.
            Unavailable: the API was away for longer than the client's patience.
        """
        last, repeats = after, _Repeats(self._patience)
        while True:
            connected, failure = False, None
            try:
                with self._connection(path, last) as source:
                    if source is None:
                        return
                    connected = True
                    for event in _parsed(source, parse, beside):
                        # What comes twice after a reconnect is dropped here, so that nobody above has to count.
                        if event.seq > last:
                            last = event.seq
                            repeats.start_over()
                            yield event
            except Unavailable as error:
                failure = error
            if connected:
                repeats.be_patient_anew()  # the API was there until now, however long nothing happened
            repeats.wait(failure)

    @contextmanager
    def _connection(self, path: str, last: int) -> Generator[httpx2.EventSource | None]:
        """The messages after number `last`; None when nothing will follow."""
        headers = {"Last-Event-ID": str(last)} if last else {}
        timeout = httpx2.Timeout(10.0, read=STREAM_SILENCE_SECONDS)
        try:
            with self._http.sse(path, headers=headers, timeout=timeout) as source:
                if source.response.is_error:
                    source.response.read()
                    raise error_of(source.response)
                self._reached = True
                yield None if source.response.status_code == 204 else source
        except httpx2.TransportError as error:
            raise self._away(error) from error

    def _away(self, error: httpx2.TransportError) -> Unavailable:
        """The error of a broken connection; whether the request was sent decides which."""
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            away = Unavailable(f"No API answers at {self.url}.", dependency="api")
            away.remedy = "Start one with: pavo up. Another one: --url or PAVO_URL."
            return away
        return OutcomeUnknown(f"The API at {self.url} broke off: {error or type(error).__name__}.", dependency="api")


class _Repeats:
    """The pauses between tries: as long as the API asks for, else longer each time; until the patience ends."""

    def __init__(self, patience: float) -> None:
        self.count = 0
        """Pauses so far."""
        self._patience = patience
        self.start_over()
        self.be_patient_anew()

    def start_over(self) -> None:
        """Something came: the next pause is short again."""
        self._pause = FIRST_PAUSE_SECONDS

    def be_patient_anew(self) -> None:
        """The API was there: the patience begins now."""
        self._until = monotonic() + self._patience

    def wait(self, failure: Unavailable | None) -> None:
        """Sleep until the next try.

        Args:
            failure: of the last try; None when a connection ended without one.

        Raises:
            Unavailable: that failure, when the next try would come after the patience's end.
        """
        asked = _retry_after(failure) if failure else 0
        if failure and monotonic() + asked > self._until:
            raise failure
        self.count += 1
        sleep(max(self._pause, asked))
        self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)


def _retry_after(failure: Unavailable) -> int:
    """Seconds that the API asked to wait; 0 when it did not answer at all."""
    return 0 if isinstance(failure.__cause__, httpx2.TransportError) else failure.retry_after


def _parsed(
    source: httpx2.EventSource, parse: Callable[[str], EventT], beside: Callable[[str, str], None] | None
) -> Iterator[EventT]:
    for message in source:
        if message.event not in ("", "message"):
            if beside is not None:
                beside(message.event, message.data)
        elif message.data:
            yield parse(message.data)


def header_from(variable: str) -> str | None:
    """An environment variable that becomes an HTTP header; None where it is not set.

    Raises:
        ConfigurationError: it holds what no header can: a line break or other control characters, or no UTF-8.
    """
    value = os.environ.get(variable)
    if value is not None and (not is_text(value) or any(ord(letter) < 32 or ord(letter) == 127 for letter in value)):
        raise ConfigurationError(
            f"{variable} holds a line break, another control character, or no UTF-8.",
            field=variable,
            remedy=f"Set it without: {variable}=$(… | tr -d '\\r\\n')",
        )
    return value


def _identity(token: str | None, user: str | None) -> dict[bytes, bytes]:
    if token:
        return {b"Authorization": f"Bearer {token}".encode()}
    return {b"X-User-Email": user.encode()} if user else {}


def _bad_url(url: str) -> ConfigurationError:
    return ConfigurationError(f"{url!r} is no address of an API.", field="url", remedy=f"Give one like {DEFAULT_URL}.")
