"""Requests to a forge's API: bounded in bytes and seconds, their failures translated; what is told holds no token."""

import asyncio
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx2
import orjson
from pydantic import TypeAdapter, ValidationError

from pavo import __version__
from pavo.errors import ForgeDenied, ForgeError, PavoError, Unavailable
from pavo.forges.port import Project
from pavo.kit.outgoing.connecting import NotAllowed
from pavo.kit.texts.storable import storable

# It tells each request at INFO, with its URL.
logging.getLogger("httpx2").setLevel(logging.WARNING)

MAX_ANSWER_BYTES: Final = 8_000_000
SECONDS: Final = 30.0
"""For one request with its answer, however slowly that comes."""
MAX_TOLD: Final = 300
"""Characters of what a forge says of an error."""
LIMIT_SECONDS: Final = 60
"""To wait where a forge says that it was asked too often, and not for how long."""
MAX_WAIT_SECONDS: Final = 86_400
MAX_TAG: Final = 300
"""Characters of an ETag, and of what it is of."""
MAX_TAGS: Final = 20
NOT_MODIFIED: Final = 304
_BUSY: Final = frozenset((408, 425, 429))
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
Shape = TypeVar("Shape")


class NotModified(Exception):
    """The forge has nothing but what it said before."""


class Remembered:
    """What answers were marked by (ETags), so that a forge says them no second time. Bounded.

    Args:
        known: by path and query, of answers that were taken in; whoever asks keeps `seen` with what came of them.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.known = dict(known or {})
        self.seen: dict[str, str] = {}

    def note(self, what: str, tag: str | None) -> None:
        """An answer came."""
        if tag and len(tag) <= MAX_TAG and len(what) <= MAX_TAG and len(self.seen) < MAX_TAGS:
            self.seen[what] = tag


class _TooMuch(Exception):
    """An answer is longer than anything that is asked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a forge's API is reached."""

    base_url: str
    """Without a slash at its end."""
    token: str
    """Empty: none is shown."""

    def __repr__(self) -> str:
        return f"Access({self.base_url!r})"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a forge: a success, or a refusal that was asked to be told."""

    status: int
    body: bytes
    said: str
    """Of a refusal, in the forge's words."""

    @property
    def well(self) -> bool:
        """Whether the forge did it."""
        return 200 <= self.status < 300

    @property
    def unchanged(self) -> bool:
        """Whether it is as it was said before."""
        return self.status == NOT_MODIFIED


class ForgeServer:
    """Asks the API of one forge about one repository.

    Args:
        client: connections that its owner keeps and closes; it follows no redirects, so that no token goes elsewhere.
        authorization: what the header of that name says before the token.
        remembered: None: whatever is asked is answered.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        access: Access,
        project: Project,
        authorization: str,
        remembered: Remembered | None = None,
    ) -> None:
        if access.token and not _TOKEN.fullmatch(access.token):
            raise ForgeDenied(
                "The forge's token has characters that no token has.",
                remedy="Give the secret anew, without spaces and line ends.",
            )
        self._client = client
        self._access = access
        self._remembered = remembered
        self.project = project
        self._headers = {"accept": "application/json", "accept-encoding": "identity"}
        self._headers["user-agent"] = f"pavo/{__version__}"
        if access.token:
            self._headers["authorization"] = f"{authorization} {access.token}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        told: Collection[int] = (),
        whole: bool = False,
    ) -> Answer:
        """One request.

        Args:
            path: below the API's base, quoted.
            told: statuses of refusals that are answered and not raised.
            whole: also where it was said before.

        Raises:
            ForgeDenied, ForgeError, Unavailable: as the port says.
        """
        try:
            async with asyncio.timeout(SECONDS):
                return await self._exchange(
                    method, path, query, body, told, remembered=None if whole else self._remembered
                )
        except PavoError:
            raise
        except TimeoutError as error:
            raise self._away(f"did not answer within {SECONDS:g} s") from error
        except _TooMuch as error:
            raise self._refused(f"gave an answer of more than {MAX_ANSWER_BYTES:,} bytes") from error
        except NotAllowed as error:
            remedy = "Have the operator allow its network: PAVO_FORGE_NETWORKS."
            raise self._refused(f"may not be reached: {error}", remedy) from error
        except httpx2.ConnectError as error:
            raise self._away(f"cannot be reached: {error}") from error
        except Exception as error:  # of a foreign library, or of what the server sends
            raise self._away(f"was lost: {type(error).__name__}: {error}") from error

    def read(self, answer: Answer, shape: TypeAdapter[Shape]) -> Shape:
        """What an answer says.

        Raises:
            ForgeError: it does not have that shape.
            NotModified: it was said before.
        """
        if answer.unchanged:
            raise NotModified
        try:
            return shape.validate_json(answer.body)
        except ValidationError as error:
            where = ".".join(str(each) for each in error.errors()[0]["loc"])
            raise self._refused(
                f"gave an answer that is none of its API's ({where or 'no JSON'})",
                remedy="Check forge and forge_url of the repository: is that the address of its API?",
            ) from error

    def forget(self, path: str, query: Mapping[str, str | int]) -> None:
        """More may follow on this answer, so it is to be said again."""
        if self._remembered is not None:
            self._remembered.seen.pop(_named(path, query), None)

    def refusal(self, answer: Answer, kind: type[ForgeError] = ForgeError, remedy: str | None = None) -> ForgeError:
        """The error for an answer that was told."""
        return kind(self._text(f"answered {answer.status}: {answer.said or 'nothing more'}"), remedy=remedy)

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
        told: Collection[int],
        remembered: Remembered | None,
    ) -> Answer:
        headers, content, what = dict(self._headers), None, _named(path, query)
        remembered = remembered if method == "GET" else None
        if remembered is not None and what in remembered.known:
            headers["if-none-match"] = remembered.known[what]
        if body is not None:
            content, headers["content-type"] = orjson.dumps(body), "application/json"
        request = self._client.build_request(
            method, f"{self._access.base_url}{path}", params=dict(query or {}), content=content, headers=headers
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            answer = Answer(response.status_code, await _body(response), "")
            if remembered is not None and (answer.well or answer.unchanged):
                remembered.note(what, response.headers.get("etag") or remembered.known.get(what, "") * answer.unchanged)
            if answer.well or (answer.unchanged and "if-none-match" in headers):
                return answer
            answer = Answer(answer.status, answer.body, said_in(answer.body))
            self._check(answer, response.headers, told)
            return answer
        finally:
            await response.aclose()

    def _check(self, answer: Answer, headers: Mapping[str, str], told: Collection[int]) -> None:
        status = answer.status
        if status in _BUSY or status >= 500 or (status == 403 and _is_limit(answer, headers)):
            wait = retry_after(headers) or (LIMIT_SECONDS if status in (403, 429) else 5)
            raise self._away(f"answered {status}: {answer.said or 'nothing more'}", wait)
        if status in told:
            return
        if status == 401:
            raise self.refusal(answer, ForgeDenied, "Replace the secret that the repository names: it is not valid.")
        if status == 403:
            raise self.refusal(
                answer,
                ForgeDenied,
                f"Give the token of the repository the right to write code and pull requests in {self.project.path}.",
            )
        if status < 400:
            raise self.refusal(answer, remedy="It was moved: give the repository its present address.")
        raise self.refusal(answer, remedy=self._remedy(status))

    def _remedy(self, status: int) -> str:
        if status == 404:
            return f"Check that {self.project.path} is there, and that the token may see it."
        return "Look at what the forge says, and at the repository's settings there."

    def _away(self, what: str, wait: float = 5) -> Unavailable:
        return Unavailable(self._text(what), dependency="forge", retry_after=max(1, min(int(wait), MAX_WAIT_SECONDS)))

    def _refused(self, what: str, remedy: str | None = None) -> ForgeError:
        return ForgeError(self._text(what), remedy=remedy)

    def _text(self, what: str) -> str:
        if self._access.token:  # servers repeat it
            what = what.replace(self._access.token, "***")
        shown = " ".join(what.split())
        shown = shown if len(shown) <= MAX_TOLD else f"{shown[:MAX_TOLD]} …"
        return storable(f"The forge ({httpx2.URL(self._access.base_url).host}) {shown}").rstrip(".") + "."


def _named(path: str, query: Mapping[str, str | int] | None) -> str:
    return f"{path}?{urlencode(sorted((query or {}).items()))}"


async def _body(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _TooMuch
    return bytes(body)


def said_in(body: bytes) -> str:
    """The message of a refusal, as one of the dialects has it, or what else the body is."""
    try:
        value: Any = orjson.loads(body)
    except ValueError:
        return body[: 4 * MAX_TOLD].decode(errors="replace").strip()
    return "; ".join(_messages(value))[: 4 * MAX_TOLD]


def _messages(value: Any, depth: int = 0) -> list[str]:
    """Texts in `message`, `error` and `errors`, however deep the dialect has them."""
    if isinstance(value, str):
        return [value]
    if depth > 4:
        return []
    if isinstance(value, list):
        return [text for each in value[:20] for text in _messages(each, depth + 1)]  # type: ignore[misc]
    if isinstance(value, dict):
        return [text for key, each in value.items() if key in _TELLING for text in _messages(each, depth + 1)]  # type: ignore[misc]
    return []


_TELLING: Final = frozenset(("message", "error", "errors", "base", "field", "code", "source_branch", "target_branch"))


def _is_limit(answer: Answer, headers: Mapping[str, str]) -> bool:
    """GitHub says 403 for its limits too."""
    return (
        headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers or "rate limit" in answer.said.lower()
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks for: RFC 9110, 10.2.3, also a date; else GitHub's and GitLab's end of the limit."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
        if text:
            return max(1.0, parsedate_to_datetime(text).timestamp() - now)
        reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or ""
        return max(1.0, int(reset) - now) if re.fullmatch(r"\d{1,12}", reset) else None
    except (ValueError, TypeError, OverflowError):
        return None
