"""The helper of git, and who asks on its socket."""

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from pavo.remote.git import credentials as module
from pavo.remote.git.credentials import HELPER, SOCKET, CredentialServer
from pavo.remote.git.sockets import Sockets
from tests.remote.git.attempts import TOKEN, GivesCredentials, attempt

URL = "https://forge.example.com:8443/acme/thing.git"
ASKED = "protocol=https\nhost=forge.example.com:8443\npath=acme/thing.git\n\n"


@pytest.fixture
def sockets(tmp_path: Path) -> Sockets:
    return Sockets(tmp_path)


async def helper(server: CredentialServer, asked: str = ASKED, *arguments: str) -> str:
    """What it prints."""
    configured = server.configuration["credential.helper"].removeprefix("!")
    process = await asyncio.create_subprocess_shell(
        f"{configured} {' '.join(arguments or ('get',))}",
        env={"PATH": os.environ["PATH"], **server.variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(asked.encode())
    assert process.returncode == 0
    return out.decode()


async def test_each_question_is_asked_anew(sockets: Sockets, credentials: GivesCredentials) -> None:
    job, _ = attempt(credentials)
    async with CredentialServer(URL, job, sockets) as server:
        assert TOKEN not in str(server.configuration) + str(server.variables)
        folder = Path(server.variables[SOCKET]).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert await helper(server) == f"username=x-access-token\npassword={TOKEN}\n"
        credentials.password = "another one"
        assert "another one" in await helper(server)
        assert credentials.asked == [(job.job_id, 1, "git", "forge.example.com:8443")] * 2
        assert server.hide(f"{TOKEN} another one") == "*** ***"
        assert await helper(server, ASKED, "store") == await helper(server, ASKED, "erase") == ""
        credentials.refused = "lost"
        assert await helper(server) == "quit=1\n" and server.refusal == "lost"
    assert not folder.exists()


@pytest.mark.parametrize(
    "asked",
    [
        "protocol=https\nhost=forge.example.com\n\n",
        "protocol=http\nhost=forge.example.com:8443\n\n",
        "protocol=https\nhost=evil.example.com\n\n",
        "host=forge.example.com:8443\n\n",
        "",
    ],
)
async def test_other_hosts_get_nothing(sockets: Sockets, credentials: GivesCredentials, asked: str) -> None:
    job, _ = attempt(credentials)
    async with CredentialServer(URL, job, sockets) as server:
        assert await helper(server, asked) == "quit=1\n"
        assert credentials.asked == [] and "forge.example.com:8443" in server.refusal and server.remedy


async def test_others_on_the_socket_get_nothing(sockets: Sockets, credentials: GivesCredentials) -> None:
    job, _ = attempt(credentials)
    right = {"protocol": "https", "host": "forge.example.com:8443"}
    odd = [b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"ticket": 1}\n', b"x" * 100_000 + b"\n", b"[" * 5000 + b"\n"]
    odd += [json.dumps({**right, "ticket": ticket}).encode() + b"\n" for ticket in ("", "é", "guessed")]
    async with CredentialServer(URL, job, sockets) as server:
        for question in odd:
            reader, writer = await asyncio.open_unix_connection(server.variables[SOCKET])
            writer.write(question)
            answer = await reader.read(10_000)
            assert answer in (b"", b"{}\n"), question[:40]
            writer.close()
        reader, writer = await asyncio.open_unix_connection(server.variables[SOCKET])
        writer.close()  # and says nothing
        assert TOKEN in await helper(server)


async def test_a_gateway_that_hangs(
    sockets: Sockets, credentials: GivesCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.2)
    job, _ = attempt(credentials)

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    credentials.ask = hangs  # type: ignore[method-assign, assignment]
    async with CredentialServer(URL, job, sockets) as server:
        assert await helper(server) == "quit=1\n"
        assert server.away and "no gateway answered" in server.refusal


@pytest.mark.parametrize("name", ["short", "long" * 40])
def test_sockets_lie_in_one_folder_of_the_agents_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        home = Path(temporary) / name
        sockets, again = Sockets(home), Sockets(home)
        left = sockets.make()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(sockets.place(left)))
        assert (left.parent == home / "sockets") == (name == "short") and left.parent.stat().st_mode & 0o077 == 0
        Sockets(Path(temporary) / f"{name}-other").make()
        assert left.exists()
        again.forget()  # as another life of the agent does
        assert not left.exists() and not sockets.folder.exists()
        again.forget()
        evil = Path(temporary) / "evil"
        evil.mkdir()
        sockets.folder.parent.mkdir(exist_ok=True)
        sockets.folder.symlink_to(evil)  # of somebody who guessed its name
        assert sockets.make().parent == Path(temporary) and list(evil.iterdir()) == []
        again.forget()
        assert evil.exists()
        sockets.folder.unlink()
        sockets.folder.mkdir(mode=0o777)
        sockets.folder.chmod(0o777)
        assert sockets.make().parent == Path(temporary)


def test_the_helper_alone_says_nothing() -> None:
    """Outside of a command of the agent's."""
    done = subprocess.run(
        ["python3", "-I", "-S", HELPER, "get"], input=ASKED, capture_output=True, text=True, check=True
    )
    assert done.stdout == "quit=1\n" and done.stderr == ""


def test_sockets_have_a_place_however_long_the_folders_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    found = Sockets(long)
    made = found.make()
    try:
        assert len(os.fsencode(Sockets.place(made))) <= 107 and made.parent == found.folder
        loop = asyncio.new_event_loop()
        try:
            server = loop.run_until_complete(asyncio.start_unix_server(lambda *_: None, Sockets.place(made)))
            server.close()
            loop.run_until_complete(server.wait_closed())
        finally:
            loop.close()
    finally:
        found.forget()
    assert not found.folder.exists()
