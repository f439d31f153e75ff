"""SIGKILL of each part while a job is done: its program goes on, is started once, and what it did is published."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stack import Stack, until
from tests.forges.small_forge import FACES, Forge, User, has_git_over_http
from tests.jobs.organisations import somebody

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
PARTS = ("api", "gateway", "worker-1", "temporal", "postgres", "redis")
PROGRAM = """
echo begun >> "$0/begun"
for each in 1 2 3 4 5 6; do
    until [ -e "$0/$each" ]; do sleep 0.05; done
    echo "line $each"
done
echo "Hello again" > again.txt
"""


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    if not has_git_over_http():
        pytest.skip("git http-backend is not installed")
    with Forge(tmp_path / "forge", FACES) as found:
        found.tokens["token-that-writes"] = User("ada")
        found.make_repository("acme/app", {"README.md": "Hello\n"})
        yield found


async def test_each_part_dies_while_a_job_is_done(stack: Stack, forge: Forge, tmp_path: Path) -> None:
    signs = tmp_path / "signs"
    signs.mkdir()
    async with somebody(stack.api) as owner:
        secret = f"/api/organisations/{owner.organisation_id}/secrets/GIT"
        assert (await owner.client.put(secret, json={"value": "token-that-writes"})).is_success
        new: dict[str, Any] = {"name": "app", "clone_url": forge.clone_url("acme/app"), "credential": "GIT"}
        await owner.post("repositories", status=201, **new)
        token = (await owner.post("agent-tokens", status=201, name="test"))["secret"]
        with (tmp_path / "agent.log").open("wb") as log:
            place = stack.gateway
            words = ["--url", place.url, "--ca", place.ca, "--name", "one", "--state", str(tmp_path / "state")]
            agent = subprocess.Popen(
                [sys.executable, "-m", "pavo.cli.main", "agent", "run", *words],
                env={**os.environ, "PAVO_AGENT_TOKEN": token, "no_proxy": "*"},
                stdout=log,
                stderr=log,
            )
            try:
                options = {"command": ["sh", "-c", PROGRAM, str(signs)]}
                body = {"repository": "app", "prompt": "Say hello again.", "program": "command", "options": options}
                job = (await owner.post("jobs", status=201, **body))["id"]

                async def lines(text: str) -> bool:
                    found = (await owner.client.get(f"/api/jobs/{job}/logs", params={"limit": 1000})).json()
                    return any(each["text"] == text for each in found["items"])

                await until(lambda: has_begun(signs), 60, "the program's beginning")
                for number, part in enumerate(PARTS, 1):
                    await stack.kill(part)
                    (signs / str(number)).touch()  # the program goes on while the part is away
                    await stack.ready()
                    await until(lambda number=number: lines(f"line {number}"), 60, f"its line after the end of {part}")
                done: dict[str, Any] = {}

                async def is_over() -> bool:
                    nonlocal done
                    done = (await owner.client.get(f"/api/jobs/{job}")).json()
                    return done["stage"] in ("DONE", "FAILED", "CANCELLED")

                await until(is_over, 90, "the job's end")
            finally:
                agent.kill()
                agent.wait()
        assert done["stage"] == "DONE", done
        assert done["attempts"] == 1 and (signs / "begun").read_text() == "begun\n"
        assert forge.file("acme/app", done["branch"], "again.txt") == "Hello again"
        logs = (await owner.client.get(f"/api/jobs/{job}/logs", params={"limit": 1000})).json()["items"]
        told = [each["text"] for each in logs if each["text"].startswith("line ")]
        assert told == [f"line {number}" for number in range(1, 7)], "each line once, none lost"
        assert all(each["gap"] == 0 for each in logs)


async def has_begun(signs: Path) -> bool:
    return (signs / "begun").exists()
