"""Servers of others, as they are, over both ways. Where one cannot be installed, its test is skipped and says why."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pavo.tools.mcp.servers_file import ServerSpec
from tests.driving import until
from tests.parts import free_port
from tests.tools.mcp.conftest import Had
from tools import mcp_servers

Having = Callable[..., Had]


def installed(name: str) -> str:
    try:
        return mcp_servers.program(name)
    except mcp_servers.NotToBeHad as reason:
        pytest.skip(f"{name} cannot be installed here: {reason}")


def spec(name: str, command: str, *args: str, **more: object) -> ServerSpec:
    return ServerSpec.model_validate({"command": command, "args": args, **more}).model_copy(update={"name": name})


@pytest.mark.timeout(240)
async def test_time_and_git(having: Having, tmp_path: Path) -> None:
    time, git = installed("mcp-server-time"), installed("mcp-server-git")
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "First"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    had = having(
        spec("time", time, effects={"*": "read"}),
        spec("git", git, "-r", str(tmp_path), annotations="trusted"),
    )
    found = await had.call("time__convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
    assert "21:00" in str(found.value), found
    log = await had.call("git__git_log", repo_path=str(tmp_path))
    assert "First" in str(log.value), log
    assert (await had.tool("time__get_current_time")).effect == "read"
    wrong = await had.call("time__get_current_time", timezone="Nowhere")
    assert wrong.state == "failed"


@pytest.mark.timeout(240)
async def test_everything_and_filesystem(having: Having, tmp_path: Path) -> None:
    everything, filesystem = installed("mcp-server-everything"), installed("mcp-server-filesystem")
    (tmp_path / "a.txt").write_text("from a file")
    had = having(spec("all", everything, "stdio"), spec("files", filesystem, str(tmp_path)))
    assert "hello" in str((await had.call("all__echo", message="hello")).value)
    content = (await had.call("files__read_text_file", path=str(tmp_path / "a.txt"))).value
    assert "from a file" in str(content)
    outside = await had.call("files__read_text_file", path="/etc/passwd")
    assert outside.state == "failed" and "root:" not in str(outside.error)


@pytest.mark.timeout(240)
async def test_everything_over_http_comes_back_after_it_was_killed(having: Having, tmp_path: Path) -> None:
    everything, port = installed("mcp-server-everything"), free_port()

    def start() -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PORT": str(port)}
        return subprocess.Popen(
            [everything, "streamableHttp"],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    process = start()
    try:
        web = ServerSpec(url=f"http://127.0.0.1:{port}/mcp").model_copy(update={"name": "all"})
        had = having(web)

        async def up() -> bool:
            return had.servers.statuses[0].state == "up"

        await until(up, what="the server")
        assert "hello" in str((await had.call("all__echo", message="hello")).value)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process = start()
        assert "again" in str((await had.call("all__echo", message="again")).value), "the call waited for it"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
