"""`pavo task artifacts` and `pavo task artifact`, as people type them."""

import asyncio
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.artifacts.keeping import ADA, Kept
from tests.command import Done, pavo


async def test_listed_and_brought_here(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PAVO_URL": str(kept.tasks.client.base_url), "PAVO_USER": ADA}

    async def run(*words: str) -> Done:
        return await asyncio.to_thread(pavo, ("task", *words), environment)

    large = {"name": "large.bin", "data": "0123456789", "times": 200_000}
    await kept.start("keeping", {"name": "tables/a b.csv", "data": "a,b\n"}, large)
    await kept.done()
    listed = json.loads((await run("artifacts", kept.id, "-o", "json")).stdout)["artifacts"]
    assert [each["name"] for each in listed] == ["large.bin", "tables/a b.csv"]
    shown = (await run("artifacts", kept.id)).stdout
    assert "2,000,000" in shown and "text/csv" in shown

    done = await run("artifact", kept.id, "tables/a b.csv")
    assert done.returncode == 0 and (tmp_path / "a b.csv").read_text() == "a,b\n", done.stderr
    again = await run("artifact", kept.id, "tables/a b.csv")
    assert again.returncode == 2 and "is there already" in again.stderr
    told = json.loads((await run("artifact", kept.id, listed[0]["id"], "-O", "here", "-o", "json")).stdout)
    assert told == {"file": "here", "bytes": 2_000_000} and (tmp_path / "here").stat().st_size == 2_000_000
    assert (await run("artifact", kept.id, "tables/a b.csv", "-O", "-")).stdout == "a,b\n"
    missing = await run("artifact", kept.id, "nothing", "-O", "there")
    assert missing.returncode == 3 and "has no artifact" in missing.stderr
    nowhere = await run("artifact", kept.id, "large.bin", "-O", "no/such/folder")
    assert nowhere.returncode == 2 and "cannot be written" in nowhere.stderr
    assert not [path.name for path in tmp_path.iterdir() if path.name in ("there", "no") or path.name.endswith(".part")]


async def test_all_of_a_task_in_one_archive(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PAVO_URL": str(kept.tasks.client.base_url), "PAVO_USER": ADA}

    async def run(*words: str) -> Done:
        return await asyncio.to_thread(pavo, ("task", *words), environment)

    large = {"name": "large.bin", "data": "0123456789", "times": 200_000}
    table = {"name": "tables/a b.csv", "data": "a,b\n"}
    await kept.start("keeping", table, large, {"name": "tables", "data": "called as a folder"})
    await kept.done()
    done = await run("export", kept.id, "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with tarfile.open(tmp_path / f"task-{kept.id}.tar.gz") as archive:
        contents = {each.name: archive.extractfile(each) for each in archive.getmembers()}
        found = {name: file.read() for name, file in contents.items() if file is not None}
    assert found["artifacts/tables/a b.csv"] == b"a,b\n" and len(found["artifacts/large.bin"]) == 2_000_000
    assert json.loads(found["export.json"])["format"] == 1 and json.loads(found["task.json"])["stage"] == "DONE"
    lines = {name: [json.loads(line) for line in text.splitlines()] for name, text in found.items() if ".jsonl" in name}
    assert lines["events.jsonl"] == json.loads(json.dumps(await kept.tasks.events(kept.id)))
    assert [each["kind"] for each in lines["documents.jsonl"]][-1] == "REPORT"
    assert {each["name"] for each in lines["artifacts.jsonl"]} == {"tables/a b.csv", "large.bin", "tables"}
    assert all(each["bytes"] == len(found[each["file"]]) for each in lines["artifacts.jsonl"])
    with tarfile.open(tmp_path / f"task-{kept.id}.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert (tmp_path / f"task-{kept.id}.tar.gz").stat().st_mode & 0o077 == 0
    assert {"usage.json", "log.txt", "transcript.jsonl", "gates.jsonl"} <= set(found)
    assert (told["events"], told["artifacts"]) == (len(lines["events.jsonl"]), 3)
    again = await run("export", kept.id)
    assert again.returncode == 2 and "is there already" in again.stderr
    nowhere = await run("export", kept.id, "-O", "no/such/file")
    assert nowhere.returncode == 2 and "cannot be written" in nowhere.stderr
    unknown = await run("export", "ffffffff-0000-4000-8000-000000000000", "-O", "unknown.tar.gz")
    for none in ("", ".", "/"):
        refused = await run("export", kept.id, "-O", none)
        assert refused.returncode == 2 and "is no file" in refused.stderr, refused.stderr
    left = [path.name for path in tmp_path.iterdir() if "tar" in path.name]
    assert unknown.returncode == 3 and left == [f"task-{kept.id}.tar.gz"]
