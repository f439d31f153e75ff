"""`pavo task artifacts` and `pavo task artifact`, as people type them."""

import asyncio
import json
import os
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
