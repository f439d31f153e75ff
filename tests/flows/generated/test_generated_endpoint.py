"""`POST /api/flows/generate`, `accept`, and `pavo flow new "…"`, as programs and people use them."""

import asyncio
import uuid
from pathlib import Path

import httpx2
import pytest

from tests.driving import until
from tests.flows.generated.conftest import FLOW, said
from tests.flows.published.people import Person
from tests.jobs.shell import Shell, shell_of
from tests.llm.scripted import ModelScript

NAP = "flow: nap\nsteps:\n  a: {sleep: 1ms}\n"
CASES = "cases:\n  - {name: it naps, expect: {steps: {a: succeeded}}}\n"


@pytest.fixture
def shell(asking_api: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    monkeypatch.chdir(tmp_path)
    return shell_of(monkeypatch, asking_api, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])


async def test_a_flow_is_written_and_published_by_its_hash(author: Person, script: ModelScript) -> None:
    script.tell(said(NAP, CASES))
    found = await author.post("/flows/generate", request="Sleep for a moment.")
    assert (found["outcome"], found["flow"], found["steps"]) == ("proposed", "nap", 1)
    assert (await author.get("/flows"))["items"] == [], "nothing is kept"
    other = found["text"].replace("1ms", "2ms")
    refused = await author.post("/flows", 409, text=other, accept=found["hash"])
    assert refused["field"] == "accept" and found["hash"] not in refused["detail"]
    assert (await author.get("/flows"))["items"] == []
    published = await author.post("/flows", 201, text=found["text"], accept=found["hash"])
    assert published["hash"] == found["hash"] and published["number"] == 1
    assert (await author.post("/flows", 422, text=NAP, accept="xyz"))["field"] == "accept"


async def test_a_published_flow_is_changed(author: Person, script: ModelScript) -> None:
    await author.post("/flows", 201, text=NAP)
    script.tell(said(NAP.replace("1ms", "5ms"), CASES))
    found = await author.post("/flows/generate", request="Sleep longer.", name="nap")
    assert [each["step"] for each in found["difference"]["changed"]] == ["a"] and "+sleep: 5ms" in found["difference"][
        "text"
    ]
    asked = script.told()["requests"][-1]["messages"][1]["content"]
    assert "sleep: 1ms" in asked and "Sleep longer." in asked
    assert (await author.post("/flows/generate", 404, request="x", name="other"))["title"]
    assert (await author.post("/flows/generate", 422, request="x", name="nap", text=NAP))["field"] == "name"


async def test_nobody_sees_anothers_flows(author: Person, script: ModelScript, stack: str) -> None:
    await author.post("/flows", 201, text=NAP.replace("nap", "mine"))
    script.tell(said(NAP, CASES))
    async with httpx2.AsyncClient(base_url=str(author.client.base_url), timeout=60) as client:
        client.headers["X-User-Email"] = f"{uuid.uuid4().hex}@example.com"
        theirs = {"organisation_id": str(author.organisation_id)}
        body = {"request": "Change it.", "name": "mine"}
        assert (await client.post("/api/flows/generate", json=body)).status_code == 404
        assert (await client.post("/api/flows/generate", json=body, params=theirs)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"request": " "}, "request"),
        ({"request": "x" * 10_001}, "request"),
        ({"request": "x", "text": "y" * 100_001}, "text"),
        ({"request": "x\0"}, "request"),
        ({"request": "x", "model": "endpoint:/y"}, "model"),
        ({"request": "x", "steps": 3}, "steps"),
    ],
)
async def test_what_cannot_be_asked_is_told(author: Person, body: dict[str, object], field: str) -> None:
    answer = await author.client.post("/api/flows/generate", json=body)
    assert answer.status_code in (413, 422) and answer.json()["field"] == field, answer.text


async def test_people_have_one_written(shell: Shell, script: ModelScript, tmp_path: Path) -> None:
    script.tell(said(NAP, CASES))
    told = (await shell.type("flow", "new", "sleep for a moment")).stdout
    assert "sleep: 1ms" in told and "A run costs 0.00 USD" in told and "as expected     it naps" in told
    accept = next(line for line in told.splitlines() if line.startswith("pavo flow publish nap.yaml --accept "))
    assert "1 of 1 as expected" in (await shell.type("flow", "test", "nap.yaml")).stdout
    assert "nap: version 1" in (await shell.type(*accept.split()[1:])).stdout
    (tmp_path / "nap.yaml").write_text(NAP.replace("1ms", "9ms"))
    assert "another one was accepted" in (await shell.type(*accept.split()[1:], code=4)).stderr
    script.tell(said(NAP.replace("1ms", "5ms"), CASES))
    told = (await shell.type("flow", "new", "sleep longer", "--edit", "nap.yaml")).stdout
    assert "-sleep: 9ms" in told and "+sleep: 5ms" in told and "Wrote nap-2.yaml and nap-2.cases.yaml." in told
    told = (await shell.type("flow", "new", "sleep longer", "--edit", "nap", "--overwrite")).stdout
    assert "-sleep: 1ms" in told and "Wrote nap.yaml" in told and "5ms" in (tmp_path / "nap.yaml").read_text()
    found = await shell.json("flow", "new", "sleep longer", "--edit", "nap", "--folder", str(tmp_path))
    assert found["outcome"] == "proposed" and found["files"] == [
        str(tmp_path / "nap-3.yaml"),
        str(tmp_path / "nap-3.cases.yaml"),
    ]


async def test_people_are_told_why_there_is_none(shell: Shell, script: ModelScript, tmp_path: Path) -> None:
    script.tell({"text": "REFUSE: No tool rings bells.\x1b[2J"})
    told = (await shell.type("flow", "new", "ring the bell", code=1)).stdout
    assert "No tool rings bells." in told and "\x1b" not in told
    script.tell(said(FLOW.replace("tool: mail.send@1", "tool: x"), None))
    typed = await shell.type("flow", "new", "tell me", code=1)
    assert "'x' names no version" in typed.stderr and "tool: x" in typed.stdout
    assert list(tmp_path.iterdir()) == []
    for words, field in (
        (("flow", "new", "nap"), "--template"),
        (("flow", "new", "a nap", "--set", "a=b"), "--template"),
        (("flow", "new", "a nap", "--edit", "none.yaml"), "none.yaml"),
        (("flow", "new", "a nap", "--folder", "nowhere"), "--folder"),
        (("flow", "new", "nap", "--template", "fan-out", "--edit", "nap"), "--edit"),
    ):
        assert field in (await shell.type(*words, code=2)).stderr


async def test_one_person_has_two_written_at_once(author: Person, script: ModelScript) -> None:
    before = sum(script.calls())
    script.tell({**said(NAP, CASES), "hold": True})
    first = [asyncio.create_task(author.post("/flows/generate", request=f"Nap {n}.")) for n in range(2)]

    async def both_asked() -> bool:
        return sum(script.calls()) >= before + 2

    await until(both_asked, what="two requests")
    third = await author.post("/flows/generate", 503, request="Nap 3.")
    assert "of yours" in third["detail"]
    script.release()
    assert {each["outcome"] for each in await asyncio.gather(*first)} == {"proposed"}
