"""Credentials for git on demand: its helper asks this process over a socket, which asks the gateway, each time anew.

Nothing of them is in arguments, files, remote URLs or variables. The socket lives as long as one command of git, in a
folder that no other user may enter; whoever asks shows the ticket that this command alone was given.
"""

import asyncio
import contextlib
import hmac
import json
import os
import secrets
import shlex
import shutil
import socket
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pavo.remote.errands.errand import GIT, Credential, CredentialRefused, CredentialsAway, Errand
from pavo.remote.git.sockets import Sockets

ASK_SECONDS: Final = 30.0
MAX_QUESTION: Final = 16_000
"""Bytes that the helper may send."""
HELPER: Final = Path(__file__).with_name("credential_helper.py")
SOCKET: Final = "PAVO_AGENT_CREDENTIALS"
TICKET: Final = "PAVO_AGENT_TICKET"
_SHORTEST_HIDDEN: Final = 4
"""Characters: a shorter password in a line would hide words."""


class CredentialServer:
    """Answers the helper of one command of git.

    Args:
        url: of the repository; for another host, port or scheme nothing is handed out.
        errand: for which it is asked.
        sockets: where its own is made.
        branch: to which git pushes; empty: it only fetches.
    """

    def __init__(self, url: str, errand: Errand, sockets: Sockets, branch: str = "") -> None:
        self._sockets = sockets
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme, parts.netloc.lower()
        self._errand, self._branch = errand, branch
        self._ticket = secrets.token_urlsafe(32)
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._given: list[str] = []
        self.refusal = ""
        """Why nothing was handed out; empty: it was, or nobody asked."""
        self.remedy = ""
        self.away = False
        """Whether the refusal may pass."""

    async def __aenter__(self) -> Self:
        self._folder = self._sockets.make()
        place = self._sockets.place(self._folder)
        self._server = await asyncio.start_unix_server(self._answer, path=str(place), limit=MAX_QUESTION)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None and self._folder is not None
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._server.wait_closed()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def configuration(self) -> dict[str, str]:
        """Of git: the helper, and it alone, for `credential.helper` was cleared before."""
        command = f"!exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(HELPER))}"
        return {"credential.helper": command}

    @property
    def variables(self) -> dict[str, str]:
        """Of git's environment, for the helper."""
        assert self._folder is not None
        return {SOCKET: str(self._sockets.place(self._folder)), TICKET: self._ticket}

    def hide(self, text: str) -> str:
        """Without what was handed out."""
        for each in self._given:
            text = text.replace(each, "***")
        return text

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                question: Any = json.loads(await reader.readuntil(b"\n"))
                found = await self._find(question) if _is_own_user(writer) else None
        except (ValueError, TypeError, KeyError, AttributeError, asyncio.IncompleteReadError):
            found = None
        except asyncio.LimitOverrunError:
            found = None
        except TimeoutError:
            found = self._refuse(f"no gateway answered within {ASK_SECONDS:g} s", "Look at the gateway.", away=True)
        with contextlib.suppress(ConnectionError):
            shown = {"username": found.username, "password": found.password} if found else {}
            writer.write(json.dumps(shown).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _find(self, question: dict[str, str]) -> Credential | None:
        if not hmac.compare_digest(question["ticket"].encode(), self._ticket.encode()):
            return None
        if (question["protocol"], question["host"].lower()) != (self._scheme, self._host):
            asked = f"{question['protocol'][:20]}://{question['host'][:200]}"
            return self._refuse(
                f"{asked} asks for it, and the repository is at {self._scheme}://{self._host}",
                "Give the repository its present clone URL.",
            )
        return await self._given_out()

    async def _given_out(self) -> Credential | None:
        try:
            job = self._errand
            found = await job.credentials.ask(job.job_id, job.epoch, GIT, self._host, self._branch)
        except CredentialRefused as error:
            return self._refuse(str(error) or "the gateway refused it", "Look at the job: another attempt may have it.")
        except CredentialsAway as error:
            return self._refuse(str(error) or "no gateway answers", "Look at the gateway.", away=True)
        if found.push_branch != self._branch:
            allowed = found.push_branch or "no branch"
            return self._refuse(f"it is for {allowed}, and not for {self._branch}", "Look at the gateway's version.")
        if not found.password:
            return self._refuse("the repository names none", "Give the repository a credential.")
        if any(letter in f"{found.username}{found.password}" for letter in "\n\r\0"):
            return self._refuse("it has a line end in it", "Give the secret anew, without line ends.")
        if len(found.password) >= _SHORTEST_HIDDEN:
            self._given.append(found.password)
        return found

    def _refuse(self, why: str, remedy: str, *, away: bool = False) -> None:
        self.refusal, self.remedy, self.away = why.rstrip("."), remedy, away


def _is_own_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the same user asks (Linux; elsewhere the folder's rights say so)."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is None or not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user == os.geteuid()
