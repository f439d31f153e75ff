"""`pavo.durable`: functions of an agent's own, each call recorded once, in its process and in the worker."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

import pavo
from pavo.agents.calling.functions import NoLedger
from pavo.agents.calling.functions_on_wire import look_up_function
from pavo.errors import AgentRefused
from pavo.testing import AgentTrial
from tests.driving import Tasks, types, until
from tests.parts import Parts, free_port
from tests.tools import durable_agents as agents
from tests.tools.calling import Called, Own

pytest_plugins = ["pavo.testing.pytest_plugin"]
BOTH = ["durable", "durable_apart"]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    agents.install(folder)
    queue, port = f"durable-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "ada.durable@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


class Recorded(Called):
    """A task whose agent calls durable functions."""

    async def begin(self, agent: str, what: str) -> None:
        options = {"folder": str(self.folder), "what": what}
        self.id = await self.tasks.started(options, agent_type=agent, auto_accept=True)


@pytest.fixture
def called(own: Own, tmp_path: Path) -> Recorded:
    return Recorded(own, tmp_path)


@pytest.mark.parametrize("agent", BOTH)
async def test_what_was_recorded_is_not_called_again(own: Own, called: Recorded, agent: str) -> None:
    (called.folder / "fail").touch()
    await called.begin(agent, "both")
    assert (await called.done()).startswith("[{'paid': 5}, {'paid': 5}, 'x'] AgentRefused: function/")
    paid = [line.split() for line in called.told("pay")]
    assert len({key for _, key, _ in paid}) == len(paid) == 2, "twice meant, twice done, each once"
    assert len(called.told("put")) == 1
    inside = {int(pid) for _, _, pid in paid} == {own.worker.pid}
    assert inside is (agent == "durable"), "a function runs where its agent does"
    events = await called.tasks.events(called.id)
    assert types(events).count("tool_called") == types(events).count("tool_done") == 3 and "retry" in types(events)
    names = {event["tool"] for event in events if event["type"] == "tool_called"}
    assert names == {"function/durable_agents.pay", "function/put-it"}


@pytest.mark.fault
@pytest.mark.parametrize("agent", BOTH)
async def test_killed_in_mid_call_nothing_unsafe_is_repeated(own: Own, called: Recorded, agent: str) -> None:
    (called.folder / "hold").touch()
    await called.begin(agent, "pay")

    async def begun() -> bool:
        return bool(called.told("pay"))

    await until(begun, what="the call")
    own.worker.kill()
    (called.folder / "hold").unlink()
    own.worker = await own.parts.start("worker", **own.environment)
    gate = await called.gate()
    assert gate["kind"] == "effect" and "function/durable_agents.pay" in gate["text"] and '"amount": 5' in gate["text"]
    await called.answer(gate, {"yes": {"paid": "seen"}})
    assert (await called.done()).startswith("[{'paid': 'seen'}]")
    assert len(called.told("pay")) == 1, "an unsafe call was repeated"


@pytest.mark.parametrize("agent", BOTH)
async def test_another_plan_repeats_nothing_unsafe(called: Recorded, agent: str) -> None:
    (called.folder / "hold").touch()
    await called.begin(agent, "pay")

    async def begun() -> bool:
        return bool(called.told("pay"))

    await until(begun, what="the call")
    await called.tasks.post(f"{called.id}/stop")
    await called.tasks.wait(called.id, "STOPPED")
    (called.folder / "hold").unlink()
    edited = await called.tasks.client.patch(f"/api/tasks/{called.id}", json={"prompt": "another"})
    assert edited.status_code == 200, edited.text
    await called.tasks.post(f"{called.id}/resume")
    await called.answer(await called.gate(), {"yes": {"paid": "seen"}})
    assert (await called.done()).startswith("[{'paid': 'seen'}]")
    assert len(called.told("pay")) == 1, "an unsafe call was repeated by another plan"


@pytest.mark.fault
@pytest.mark.parametrize("agent", BOTH)
async def test_an_idempotent_one_runs_again_with_its_key(own: Own, called: Recorded, agent: str) -> None:
    (called.folder / "hold").touch()
    await called.begin(agent, "both")

    async def begun() -> bool:
        return bool(called.told("put")) and len(called.told("pay")) == 2

    await until(begun, what="the calls")
    own.worker.kill()
    (called.folder / "hold").unlink()
    own.worker = await own.parts.start("worker", **own.environment)
    for gate in await called.gates(2):
        await called.answer(gate, "no")
    await called.done()
    put = [line.split()[1] for line in called.told("put")]
    assert len(put) == 2 and len(set(put)) == 1
    assert len(called.told("pay")) == 4, "each once more, for people said that it had not happened"


async def test_a_plain_one_on_the_thread_of_a_generator(called: Recorded) -> None:
    await called.begin("durable_generator", "")
    gate = await called.gate()
    assert "function/durable_agents.lost" in gate["text"]
    await called.answer(gate, {"yes": "found"})
    await called.done()
    said = [event["text"] for event in await called.tasks.events(called.id) if event["type"] == "output"]
    assert said == ["first", "found"]
    assert len(called.told("put")) == 1 and len(called.told("lost")) == 1


def test_what_a_function_may_not_is_told(agent_trial: Callable[..., AgentTrial]) -> None:
    outcome = agent_trial(agents.Durable, options={"what": "bad"}, feedback=()).check()
    for said in (
        "did not answer within 0.3 s",
        "SystemExit: 3",
        "RuntimeError: no luck",
        "in no other durable function",
        "its result cannot be kept: it is not JSON",
        "its result cannot be kept: it holds a NUL",
        "its result cannot be kept: it has 300,0",
        "well",
        "call(): args: it is not JSON",
        "is a plain function",
    ):
        assert any(said in str(each) for each in outcome.checkpoints[0]), (said, outcome.checkpoints[0])
    assert "AgentRefused: function/tests.tools.durable_agents.pay is durable" in outcome.plan.steps[0].title


def test_in_a_trial_it_is_called_once(agent_trial: Callable[..., AgentTrial], tmp_path: Path) -> None:
    def paid() -> int:
        return len((tmp_path / "told").read_text().splitlines())

    def reset() -> None:
        (tmp_path / "told").unlink(missing_ok=True)

    options = {"what": "both", "folder": str(tmp_path)}
    outcome = agent_trial(agents.Durable, options=options, feedback=(), reset=reset, outside=paid).check()
    assert outcome.outside == 3


async def test_outside_of_an_agent_it_is_refused() -> None:
    with pytest.raises(AgentRefused, match=r"execute\(\) of an agent") as why:
        await agents.pay("", 1)
    assert why.value.remedy == "Elsewhere call pay.__wrapped__."
    with pytest.raises(AgentRefused):
        agents.put("")
    with pytest.raises(AgentRefused):
        await agents.put.aio("")
    assert agents.pay.__name__ == "pay" and "Pay once more" in (agents.pay.__doc__ or "")


def generating() -> Any:
    yield 1


def starred(*args: int) -> None: ...


def keyed(**options: int) -> None: ...


def fine() -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "told"),
    [
        (generating, {}, "no function that answers once"),
        (print, {}, "no function that answers once"),
        (7, {}, "no function that answers once"),
        (starred, {}, "cannot be given by name"),
        (keyed, {}, "cannot be given by name"),
        (fine, {"name": "no name"}, "is no name"),
        (fine, {"name": "x" * 80}, "is no name"),
        (fine, {"effect": "safe"}, "use 'read', 'idempotent' or 'unsafe'"),
        (fine, {"seconds": 0}, "use more than 0"),
    ],
)
def test_what_cannot_be_durable_is_refused_when_it_is_defined(function: Any, options: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        pavo.durable(**options)(function)


def test_long_names_differ() -> None:
    def made(module: str) -> Any:
        def function_with_a_name_that_goes_on_for_a_while() -> None: ...

        function_with_a_name_that_goes_on_for_a_while.__module__ = module
        return pavo.durable(function_with_a_name_that_goes_on_for_a_while)._tool.name

    assert made("a") != made("b") and len(made("a")) <= 60 and made("a") == made("a")


def request(tool: str) -> list[Any]:
    return [tool, {}, None, "1/x/y/1"]


@pytest.mark.parametrize(
    "message",
    [
        {"do": "begin", "request": request("charge"), "effect": "read"},
        {"do": "begin", "request": request("function/x"), "effect": "harmless"},
        {"do": "begin", "request": [], "effect": "read"},
        {"do": "look", "call": 7},
        {"do": "settle", "call": "x" * 1000, "outcome": [None, None, None, False]},
        {"do": "settle", "call": "x", "outcome": ["x" * 300_000, None, None, False]},
        {"do": "settle", "call": "x", "outcome": [None, 7, None, False]},
        {"do": "settle", "call": "x", "outcome": [None, None, None, "perhaps"]},
        {"do": "settle", "call": "x"},
        {},
    ],
)
def test_a_process_that_sends_something_else_is_not_heard(message: Any) -> None:
    with pytest.raises((TypeError, LookupError, ValueError)):
        look_up_function(message, NoLedger())
