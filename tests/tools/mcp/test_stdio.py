"""Servers that are processes: what they do to Pavo, and what that means for a call."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pavo.kit.processes import start_time
from pavo.tools.arguments import WrongArguments
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.registry import BrokenTool
from tests.driving import until
from tests.tools.mcp.conftest import BAD, Had, Told, bad

Having = Callable[..., Had]


async def test_its_tools_are_tools(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path, effects={"o*": "read", "ok": "idempotent"}))
    tool = await had.tool("bad__ok")
    assert (tool.effect, tool.description, tool.distribution) == ("read", "ok", "MCP server bad")
    assert (await had.tool("bad__hang")).effect == "unsafe", "what nobody names"
    assert tool.schema["properties"] == {"text": {"type": "string"}}
    with pytest.raises(WrongArguments, match=r"args\.text: 5 is not of type 'string'"):
        tool.understood({"text": 5})
    assert (await had.call("bad__ok", text="hello")).value == "hello"
    assert (await had.call("bad__structured")).value == {"n": [1, None]}
    assert (await had.call("bad__key", key="k-1")).value == "k-1", "its idempotency key"
    assert (await had.call("bad__garbage")).value == "ok"


async def test_its_environment_is_its_own(having: Having, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "PAVO_SECRET_KEY", "CANARY"):
        monkeypatch.setenv(name, "canary")
    had = having(bad(tmp_path, env={"GIVEN": "this"}))
    environment = (await had.call("bad__env")).value.splitlines()
    assert "GIVEN=this" in environment and f"PATH={os.environ['PATH']}" in environment
    assert not any("canary" in line for line in environment)


async def test_a_crash_in_mid_call_is_of_unknown_outcome_and_it_begins_again(
    having: Having, tmp_path: Path, told: Told
) -> None:
    had = having(bad(tmp_path))
    outcome = await had.call("bad__crash")
    assert outcome.unknown and "code 3" in (outcome.error or "") and "luck" in (outcome.error or "")
    assert "\x1b" not in (outcome.error or "")
    assert (await had.call("bad__ok")).value == "ok", "without anybody's doing"
    assert told.lines("crash") == ["crash"] and len(told.pids) == 2


async def test_what_hangs_holds_up_nothing_else(having: Having, tmp_path: Path, told: Told) -> None:
    had = having(bad(tmp_path, call_seconds=3))
    await had.tool("bad__ok")
    begun = time.monotonic()
    hung, fine = await asyncio.gather(had.call("bad__hang"), had.call("bad__ok"))
    assert hung.unknown and "within 3 s" in (hung.error or "") and time.monotonic() - begun < 15
    assert fine.value == "ok" and (await had.call("bad__ok")).value == "ok" and len(told.pids) == 1


async def test_one_that_answers_nothing_any_more_is_begun_anew(
    having: Having, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pavo.tools.mcp.server.PONG_SECONDS", 0.5)
    had = having(bad(tmp_path, call_seconds=1))
    assert (await had.call("bad__block")).unknown
    await until(lambda: _true(len(told.pids) == 2), what="another process")
    await until(lambda: _true(had.servers.statuses[0].state == "up"), what="its tools")
    assert (await had.call("bad__ok")).value == "ok"
    assert start_time(told.pids[0]) is None


async def _true(value: bool) -> bool:
    return value


async def test_an_answer_that_is_too_large_is_no_result(having: Having, tmp_path: Path, told: Told) -> None:
    had = having(bad(tmp_path))
    outcome = await had.call("bad__giant")
    assert outcome.state == "failed" and "It ran" in (outcome.error or "")
    assert (await had.call("bad__ok")).value == "ok" and len(told.pids) == 1


@pytest.mark.parametrize("how", ["flood", "endless"])
async def test_a_flood_is_ended(
    having: Having, tmp_path: Path, told: Told, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pavo.tools.mcp.lines.WINDOW_MESSAGES", 2_000)
    had = having(bad(tmp_path, call_seconds=20))
    outcome = await had.call(f"bad__{how}")
    assert outcome.unknown and "wrote more than" in (outcome.error or ""), outcome
    assert (await had.call("bad__ok")).value == "ok" and len(told.pids) == 2


async def test_a_flood_of_errors_waits(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path, call_seconds=1))
    assert (await had.call("bad__errors")).unknown


async def test_what_is_no_result_is_of_unknown_outcome(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path))
    assert (await had.call("bad__lie")).unknown
    refused = await had.call("bad__refuses")
    assert refused.unknown and "not today" in (refused.error or ""), "an error may come after the fact"


async def test_what_the_server_says_has_failed_has_failed(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path))
    failed, wrong = await had.call("bad__fails"), await had.call("bad__wrong")
    assert (failed.state, wrong.state) == ("failed", "failed")
    assert failed.error == "The tool bad__fails failed: no such customer" and "no number" in (wrong.error or "")


async def test_a_list_that_changes_is_read_again(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path))
    await had.call("bad__grows")
    await until(lambda: asyncio.to_thread(had.servers.find, "bad__late"), what="the new tool")
    assert (await had.call("bad__late")).value == "ok"


async def test_one_that_is_down_leaves_the_others_usable_and_says_so(
    having: Having, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def named(name: str, spec: ServerSpec) -> ServerSpec:
        return spec.model_copy(update={"name": name})

    absent = ServerSpec(command="/no/such/program")
    mute = named("mute", bad(tmp_path, "mute", start_seconds=1))
    endless = named("endless", bad(tmp_path, "endless-list"))
    exits = named("exits", bad(tmp_path, "exit"))
    had = having(named("absent", absent), mute, endless, exits, bad(tmp_path))
    assert (await had.call("bad__ok")).value == "ok"
    for name, why in {
        "absent": "no command",
        "mute": "in time",
        "endless": "more than 50 pages",
        "exits": "no licence",
    }.items():
        found = await asyncio.to_thread(had.servers.find, f"{name}__ok")
        assert isinstance(found, BrokenTool) and why in found.error, found
        assert f"MCP server {name} is down" in caplog.text
    states = {each.name: each.state for each in had.servers.statuses}
    assert states == {"absent": "down", "mute": "down", "endless": "down", "exits": "down", "bad": "up"}
    assert had.servers.find("unheard__of") is None and had.servers.find("ok") is None


async def test_a_call_of_one_that_is_down_was_not_made(having: Having, tmp_path: Path, told: Told) -> None:
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -S {BAD} {tmp_path}\n")
    program.chmod(0o700)
    spec = ServerSpec(command=str(program), call_seconds=1).model_copy(update={"name": "bad"})
    had = having(spec)
    await had.tool("bad__ok")
    program.unlink()
    os.kill(told.pids[0], signal.SIGKILL)
    await until(lambda: _true("no command" in had.servers.statuses[0].detail), what="that it is away")
    outcome = await had.call("bad__ok")
    assert outcome.state == "failed" and "was not called" in (outcome.error or "") and told.lines("ok") == []


async def test_odd_tools_are_made_plain_or_left_out(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path, "odd", annotations="trusted", tools=["[!h]*"]))
    await had.tool("bad__twice")
    tools = {tool.name: tool for tool in had.servers.all()}
    search, long = sorted(name for name in tools if name not in ("bad__broken", "bad__large", "bad__twice"))
    assert search.startswith("bad__search_the_web_-") and len(long) == 60
    assert tools[search].effect == "read" and tools[long].effect == "idempotent"  # type: ignore[union-attr]
    assert "schema" in tools["bad__broken"].error and "60,0" in tools["bad__large"].error  # type: ignore[union-attr]
    assert tools["bad__twice"].description == "the first\\u202e"  # type: ignore[union-attr]


async def test_hints_are_only_hints(having: Having, tmp_path: Path) -> None:
    had = having(bad(tmp_path, "odd"))
    await had.tool("bad__twice")
    assert {tool.effect for tool in had.servers.all() if not isinstance(tool, BrokenTool)} == {"unsafe"}


async def test_nothing_of_it_is_left(having: Having, tmp_path: Path, told: Told) -> None:
    """It ignores SIGTERM, and has a child."""
    had = having(bad(tmp_path))
    child = int((await had.call("bad__child")).value)
    await asyncio.to_thread(had.servers.close)
    await until(lambda: _true(start_time(told.pids[0]) is None and start_time(child) is None), what="its end")


@pytest.mark.fault
async def test_it_ends_with_its_worker(tmp_path: Path, told: Told) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.tools.mcp.conftest import bad\n"
        "from pavo.tools.mcp.servers import McpServers\n"
        "servers = McpServers([bad(Path(sys.argv[1]))])\n"
        "servers.start()\n"
        "time.sleep(60)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        await until(lambda: _true(bool(told.pids)), what="the server")
    finally:
        worker.kill()
        worker.wait()
    await until(lambda: _true(start_time(told.pids[0]) is None), what="its end")
