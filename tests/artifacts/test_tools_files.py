"""What tools make is kept in the commit of their outcome: long results, and files of the workspace."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.keeping import AGENTS, Kept, Own
from tests.driving import types, until

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_long_result_is_kept_and_read_on(kept: Kept, agent: str) -> None:
    (kept.folder / "fail").touch()
    calls = [
        {"tool": "long", "args": {"size": size, "folder": str(kept.folder)}} for size in (16_000, 16_002, 9_000_000)
    ]
    await kept.start(agent, calls=calls)
    short, long, giant, *_ = await kept.done()
    assert json.loads(short) == "é" * 8_000 and "it has 9,000,002 bytes" in giant
    told = json.loads(long)
    assert (told["bytes"], told["media_type"], told["excerpt"]) == (16_002, "text/plain", "é" * 2_000)
    [item] = await kept.listed()
    assert told["next_offset"] == 4_000 and f'read_artifact(name="{told["name"]}", offset=4000)' in told["read_on"]
    assert told["artifact"] == item["id"] and told["name"] == item["name"] and item["name"].startswith("results/")
    assert (await kept.get(item["id"])).text == "é" * 8_001
    events = await kept.tasks.events(kept.id)
    assert types(events, "artifact_added", "tool_done") == ["tool_done", "artifact_added", "tool_done", "tool_done"]
    assert (kept.folder / "told").read_text().splitlines().count("long") == 3, "recorded once, also when it began again"


@pytest.mark.parametrize("agent", AGENTS)
async def test_another_host_finds_what_recorded_tools_wrote(
    own: Own, kept: Kept, agent: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (kept.folder / "hold").touch()
    calls = [
        {"tool": "note", "args": {"path": "src/a.txt", "text": "first"}},
        {"tool": "note", "args": {"path": "src/a.txt", "text": "second"}},
        {"tool": "note", "args": {"path": "b.txt", "text": "scratch", "fails": True}},
        {"tool": "note", "args": {"path": "../up.txt", "text": "no"}},
    ]
    looks = ["src/a.txt", "b.txt"] if agent == "keeping_apart" else []
    await kept.start(agent, calls=calls, looks=looks)
    await kept.told()
    folder = Path({**own.parts.environment, **own.environment}["PAVO_AGENT_FOLDERS"]) / kept.id
    assert (folder / "src/a.txt").read_text() == "second" and (folder / "b.txt").read_text() == "scratch"
    own.worker.kill()
    (kept.folder / "hold").unlink()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    there = elsewhere / "agents" / kept.id
    there.mkdir(mode=0o700, parents=True)
    (there / "src").write_text("in the way of a recorded file")
    own.environment["PAVO_AGENT_FOLDERS"] = str(elsewhere / "agents")
    own.worker = await own.parts.start("worker", **own.environment)
    report = await kept.done()
    assert (there / "src/a.txt").read_text() == "second" and not (there / "b.txt").exists()
    assert report[:2] == ['"src/a.txt"', '"src/a.txt"'] and "after the file was written" in report[2]
    assert "not relative" in report[3]
    if looks:
        assert report[4:6] == ["second", "no b.txt"]
    assert [each["name"] for each in await kept.listed()] == ["workspace/src/a.txt"]
    assert not list(there.rglob("*.part"))


@pytest.mark.parametrize("agent", AGENTS)
async def test_built_in_tools(kept: Kept, agent: str) -> None:
    text = "grün " * 5_000
    calls = [
        {"tool": "write_file", "args": {"path": "a/b.txt", "content": text}},
        {"tool": "read_file", "args": {"path": "a/b.txt", "length": 5}},
        {"tool": "read_file", "args": {"path": "a/b.txt", "offset": 29_998}},
        {"tool": "write_file", "args": {"path": "c.bin", "content": "AAEC", "encoding": "base64"}},
        {"tool": "read_file", "args": {"path": "c.bin"}},
        {"tool": "list_files", "args": {}},
        {"tool": "list_files", "args": {"under": "a"}},
        {"tool": "read_file", "args": {"path": "nothing"}},
        {"tool": "write_file", "args": {"path": "d", "content": "!", "encoding": "base64"}},
        {"tool": "write_file", "args": {"path": "a", "content": "x"}},
    ]
    await kept.start(agent, calls=calls)
    said = [json.loads(line) for line in (await kept.done())[: len(calls)]]
    assert said[0] == {"path": "a/b.txt", "bytes": 30_000}
    assert said[1] == {"path": "a/b.txt", "bytes": 30_000, "content": "grün", "next_offset": 5}
    assert said[2]["content"] == "n " and "next_offset" not in said[2]
    assert said[4] == {"path": "c.bin", "bytes": 3, "base64": "AAEC"}
    files = [{"path": "a/b.txt", "bytes": 30_000}, {"path": "c.bin", "bytes": 3}]
    assert said[5]["files"] == files and said[6]["files"] == files[:1]
    assert "There is no file nothing" in said[7] and "it is no base64" in said[8] and "a: Is a directory" in said[9]
    assert [each["name"] for each in await kept.listed()] == ["workspace/a/b.txt", "workspace/c.bin"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_command_keeps_what_is_named_and_ends_whole_at_a_stop(kept: Kept, agent: str) -> None:
    pids = kept.folder / "pids"
    made = {"command": "echo made > made.txt; echo scratch > scratch.txt; echo hello", "keep": ["made.txt"]}
    long = {"command": f"sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; wait", "seconds": 600}
    calls = [{"tool": "run_command", "args": each, "key": key} for key, each in (("made", made), ("long", long))]
    await kept.start(agent, calls=calls)

    async def begun() -> list[str]:
        found = pids.read_text().split() if pids.exists() else []
        return found if len(found) == 2 else []

    await until(begun, what="the command")
    assert (await kept.tasks.client.post(f"/api/tasks/{kept.id}/stop")).status_code in (200, 202)
    await kept.tasks.wait(kept.id, "STOPPED")

    async def gone() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split())

    await until(gone, what="the end of all that it started")
    assert (await kept.tasks.client.post(f"/api/tasks/{kept.id}/resume")).status_code in (200, 202)
    first, second = [json.loads(line) for line in (await kept.done())[:2]]
    assert (first["exit_code"], first["output"], first["kept"]) == (0, "hello\n", {"made.txt": "5 bytes"})
    assert "not confined" in first["confined"]
    assert second["exit_code"] is None and "stop" in second["ended"]
    assert len(pids.read_text().split()) == 2, "it was not run again"
    assert [each["name"] for each in await kept.listed()] == ["workspace/made.txt"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_texts_of_the_task_are_read_on_and_nothing_else(own: Own, kept: Kept, tmp_path: Path, agent: str) -> None:
    (tmp_path / "other").mkdir()
    other = Kept(own, tmp_path / "other")
    await other.start("keeping", calls=[{"tool": "write_file", "args": {"path": "theirs.txt", "content": "theirs"}}])
    await other.done()
    [theirs] = await other.listed()
    files = {"a.txt": "grün " * 5_000, "signs.txt": "\x01" * 3_000, "late.txt": "x" * 4_500 + "é"}
    calls: list[dict[str, Any]] = [
        *({"tool": "write_file", "args": {"path": path, "content": content}} for path, content in files.items()),
        {"tool": "write_file", "args": {"path": "c.bin", "content": "AAEC", "encoding": "base64"}},
        {"tool": "write_file", "args": {"path": "empty", "content": ""}},
    ]
    reads: list[dict[str, Any]] = [
        {"name": "workspace/a.txt", "characters": 3},
        {"name": "workspace/a.txt", "offset": 3, "characters": 2},
        {"name": "workspace/a.txt", "offset": 29_998},
        {"name": "workspace/a.txt", "offset": 30_000},
        {"name": "workspace/a.txt", "characters": 100_000},
        {"name": "workspace/signs.txt"},
        {"name": "workspace/empty"},
        {"name": "workspace/late.txt", "offset": 4_499, "characters": 1},
        {"name": "workspace/a.txt", "offset": 30_001},
        {"name": "workspace/c.bin"},
        {"name": "workspace/c.bin", "offset": 1},
        {"name": "nothing"},
        {"name": theirs["id"]},
        {"name": "workspace/a.txt", "offset": -1},
    ]
    await kept.start(agent, calls=[*calls, *({"tool": "read_artifact", "args": each} for each in reads)])
    lines = (await kept.done())[len(calls) : len(calls) + len(reads)]
    said = [json.loads(line) for line in lines]
    about = {"name": "workspace/a.txt", "bytes": 30_000}
    assert said[0] == {**about, "offset": 0, "text": "grü", "next_offset": 4}
    assert said[1] == {**about, "offset": 4, "text": "n ", "next_offset": 6}, "from the next whole character on"
    assert said[2] == {**about, "offset": 29_998, "text": "n "}
    assert said[3] == {**about, "offset": 30_000, "text": ""}
    assert len(said[4]["text"]) == 12_000 and said[4]["next_offset"] == 14_400
    assert set(said[5]["text"]) == {"\x01"} and 2_000 < said[5]["next_offset"] < 2_500, "less than is kept by itself"
    assert said[6] == {"name": "workspace/empty", "bytes": 0, "offset": 0, "text": ""}
    assert (said[7]["text"], said[7]["next_offset"]) == ("x", 4_500)
    assert "has 30,000 bytes: there is nothing at 30,001" in said[8]
    for told in said[9:11]:
        assert "workspace/c.bin is no text in UTF-8 (application/octet-stream, 3 bytes)" in told
    for told in said[11:13]:
        names = "workspace/a.txt, workspace/c.bin, workspace/empty, workspace/late.txt, workspace/signs.txt"
        assert "The task has no artifact" in told and f"There are: {names}." in told
    assert "does not take these arguments: args.offset" in said[13]
    assert len(await kept.listed()) == 5


async def test_a_tool_that_writes_more_than_may_be_kept_fails(kept: Kept) -> None:
    large = [{"tool": "long", "args": {"size": 4_000_000, "folder": str(kept.folder)}} for _ in range(2)]
    await kept.start("keeping", calls=large)
    first, second, *_ = await kept.done()
    assert json.loads(first)["bytes"] == 4_000_000
    assert "ran, but what it made cannot be kept: A task may keep 5,000,000 bytes" in second
    assert len(await kept.listed()) == 1
    assert not os.listdir(kept.own.store / "incoming")
