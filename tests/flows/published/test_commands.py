"""`pavo flow publish`, `list`, `versions`, `diff`, `rollback`, `deprecate`, `export`, `import`, as they are typed."""

import json
import uuid
from pathlib import Path

import pytest

from tests.flows.published.people import Person
from tests.flows.published.test_published import flow
from tests.jobs.shell import Shell, shell_of


@pytest.fixture
def shell(stack: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return shell_of(monkeypatch, stack, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "greet.yaml"
    found.write_text(flow())
    return found


async def test_a_flow_is_published_and_changed(shell: Shell, file: Path) -> None:
    assert "greet: version 1" in (await shell.type("flow", "publish", str(file), "--reason", "first")).stdout
    assert (await shell.json("flow", "publish", str(file)))["is_new"] is False
    file.write_text(flow(limit=2))
    assert "greet: version 2" in (await shell.type("flow", "publish", str(file))).stdout
    told = (await shell.type("flow", "diff", "greet", "1", "2")).stdout
    assert "-" in told and "+    default: 2" in told
    assert "They say the same." in (await shell.type("flow", "diff", "greet", "2", "2")).stdout
    assert "version 1 is the current one" in (await shell.type("flow", "rollback", "greet", "1")).stdout
    [row] = (await shell.type("flow", "list")).stdout.splitlines()[1:]
    assert row.startswith("greet") and "1 of 2" in row
    await shell.type("flow", "deprecate", "greet", "2", "it fails")
    rows = (await shell.type("flow", "versions", "greet")).stdout.splitlines()[1:]
    assert "deprecated: it fails" in rows[0] and "current" in rows[1]
    assert "--undo" in (await shell.type("flow", "rollback", "greet", "2", code=4)).stderr
    await shell.type("flow", "deprecate", "greet", "2", "--undo")
    assert (await shell.json("flow", "versions", "greet"))["versions"][0]["deprecated_at"] is None
    assert "no flow 'other'" in (await shell.type("flow", "versions", "other", code=3)).stderr
    assert "--undo" in (await shell.type("flow", "deprecate", "greet", "1", code=2)).stderr


@pytest.mark.parametrize("name", ["flows.json", "flows.yaml"])
async def test_what_is_exported_is_imported_once(
    shell: Shell, file: Path, tmp_path: Path, other: Person, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file.write_text(flow("zz"))
    await shell.type("flow", "publish", str(file))
    for limit in (1, 2, 3):
        file.write_text(flow(limit=limit))
        await shell.type("flow", "publish", str(file))
    file.write_text("flow: aa\nsteps: {a: {flow: zz@1}, b: {flow: greet@2, with: {limit: 1e30}}}")
    await shell.type("flow", "publish", str(file))
    await shell.type("flow", "deprecate", "greet", "1", "old")
    await shell.type("flow", "rollback", "greet", "2")
    to = tmp_path / name
    told = await shell.json("flow", "export", "--to", str(to))
    assert (told["flows"], told["versions"]) == (3, 5)
    assert "already" in (await shell.type("flow", "export", "--to", str(to), code=2)).stderr
    monkeypatch.setenv("PAVO_USER", other.client.headers["X-User-Email"])
    found = await shell.json("flow", "import", str(to))
    assert (found["published"], found["there"], found["failed"], found["renumbered"]) == (5, 0, {}, [])
    again = await shell.json("flow", "import", str(to))
    assert (again["published"], again["there"], again["failed"]) == (0, 5, {})
    greet = await other.get("/flows/greet")
    assert (greet["number"], greet["newest"]) == (2, 3)
    assert (await other.get("/flows/greet/versions/1"))["deprecated_reason"] == "old"
    one = await shell.json("flow", "export", "greet")
    assert [each["number"] for each in one["flows"][0]["versions"]] == [1, 2, 3] and one["flows"][0]["current"] == 2


async def test_a_run_is_watched_until_it_is_over(shell: Shell, other: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAVO_USER", other.client.headers["X-User-Email"])
    begun = await other.post("/flow-runs", 201, text=flow(), engine="local")
    told = (await shell.type("flow", "watch", begun["id"])).stdout.splitlines()
    assert "run_started" in told[0] and "outcome succeeded" in told[-1]
    last = (await shell.type("flow", "watch", begun["id"], "--after", str(len(told) - 1), "-o", "json")).stdout
    assert json.loads(last)["type"] == "run_ended"
    assert "There is no run" in (await shell.type("flow", "watch", str(uuid.uuid4()), code=3)).stderr


async def test_what_cannot_be_imported_is_told(shell: Shell, tmp_path: Path) -> None:
    steps = {"a": {"sleep": "1s"}}
    right = {"number": 1, "hash": "x", "definition": {"flow": "right", "steps": steps}}
    wrong = {"number": 1, "hash": "x", "definition": {"flow": "wrong", "steps": {"a": {"flow": "nothere@1"}}}}
    flows = [{"name": "right", "current": 1, "versions": [right]}, {"name": "wrong", "current": 1, "versions": [wrong]}]
    to = tmp_path / "flows.json"
    to.write_text(json.dumps({"pavo_flows": 1, "flows": flows}))
    told = (await shell.type("flow", "import", str(to), code=1)).stdout
    assert "right: version 1 is not what its hash says" in told and "wrong: version 1: " in told
    for text in ("", "[]", "a: &x [1]\nb: *x", '{"flows": 1}', "\x00", "{" * 100_000):
        to.write_text(text)
        assert str(to) in (await shell.type("flow", "import", str(to), code=2)).stderr
