"""`CommandAgent` without a stack: programs that keep the contract, and that end, hang, flood or lie."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pavo.adapters import CommandAgent
from pavo.agents.calling.gateway import Gateway
from pavo.agents.contract import AgentContext, Event, Plan, PlanStep, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.config_section import parse_commands
from pavo.errors import AgentError, AgentRefused
from pavo.testing import AgentTrial
from tests.adapters.commands.spoken import Planning, Spoken, WithModels
from tests.driving import until

pytest_plugins = ["pavo.testing.pytest_plugin"]
Trials = Callable[..., AgentTrial]
PLAN = Plan(1, "h", "S", (PlanStep("Run", "a b"),))


@asynccontextmanager
async def opened(how: str, agent: str = "Spoken") -> AsyncGenerator[ProcessHost]:
    options = {"how": how}
    ctx = AgentContext(uuid.uuid4(), uuid.uuid4(), "T", "P", options, corpus=None)  # pyright: ignore[reportArgumentType]
    host = ProcessHost(f"tests.adapters.commands.spoken:{agent}", ctx, HostLimits())
    await host.open(PLAN, None)
    try:
        yield host
    finally:
        await host.close()


def test_a_program_keeps_the_contract(agent_trial: Trials) -> None:
    outcome = agent_trial(Spoken, prompt="one two three", options={"how": "words"}, feedback=()).check(every=2)
    said = ["one", "two", "three"]
    assert [event for step in outcome.steps for event in step.events] == [
        Event("word", {"word": word}) for word in said
    ]
    assert outcome.steps[0].total == len(said) and outcome.report == "3 words"
    assert [list(step.messages) for step in outcome.steps[:3]] == [[{"w": 0}], [{"w": 1}], [{"w": 2}]]


async def test_a_program_plans_and_revises(agent_trial: Trials) -> None:
    outcome = await agent_trial(Planning, prompt="one two", options={"how": "words"}).run()
    assert (outcome.plan.summary, outcome.plan.steps[0]) == ("Mine again", PlanStep("Look", "one two"))
    assert outcome.report == "2 words"


async def test_a_program_asks_calls_and_keeps_files(agent_trial: Trials) -> None:
    weighed: list[str] = []

    def weigh(what: str) -> int:
        """What it weighs."""
        weighed.append(what)
        return 7

    outcome = await agent_trial(
        Spoken,
        options={"how": "asks"},
        feedback=(),
        answers={"color": "red"},
        tools={"weigh": weigh},
        documents={"Wrens": "A wren is a bird."},
    ).run()
    assert json.loads(outcome.report) == ["red", 7, "ToolFailed", 5, ["Wrens"], []]
    assert weighed == ["wren"]


async def test_a_program_is_told_the_gateway(agent_trial: Trials) -> None:
    gateway = Gateway("http://gateway/v1", "token-1")
    outcome = await agent_trial(WithModels, options={"how": "environment"}, feedback=(), gateway=gateway).run()
    assert json.loads(outcome.report) == ["http://gateway/v1", "token-1"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "ended with exit code 3 before it said that it is done"),
        ("signal", "ended by SIGSEGV before it said"),
        ("half", "ended with exit code 0 before it said that it is done, in the middle of a line"),
        ("garbage", "said 'Loading ...', which is no JSON object"),
        ("binary", "which is no JSON object"),
        ("list", "said '[1]', which is no JSON object"),
        ("long", "said a line of more than 10,000,000 bytes"),
        ("flood", "said 2,000 lines and no step"),
        ("unknown", "A line has the type 'progress': in execute use one of step, emit, ask"),
        ("wrong_work", "A line has the type 'plan': in execute use one of step"),
        ("lacks", "A line of type step lacks the member 'checkpoint'"),
        ("strange", "A line of type step has no member 'progres': it takes checkpoint, events"),
        ("events", "events must be a list"),
        ("messages", "messages must be a list of objects"),
        ("report", "report must be a text, not int"),
        ("content", "takes one of path, text and base64"),
        ("closes", "closed its output"),
    ],
)
async def test_what_a_program_does_wrong_is_told(how: str, told: str) -> None:
    async with opened(how) as host:
        with pytest.raises(AgentError) as failed:
            await host.next_step()
    assert told in failed.value.detail and not isinstance(failed.value, AgentRefused)


async def test_a_child_that_keeps_its_output_open_does_not_hide_its_end() -> None:
    async with opened("leaves") as host:
        assert isinstance(await host.next_step(), Step)
        with pytest.raises(AgentError, match="ended with exit code 4"):
            await host.next_step()


async def test_a_large_last_line_is_read_to_its_end() -> None:
    async with opened("large") as host:
        step = await host.next_step()
        assert isinstance(step, Step) and len(step.checkpoint["report"]) == 900_000
        assert await host.next_step() is None


async def test_the_same_checkpoint_twice_is_two_steps() -> None:
    async with opened("twice") as host:
        steps = [await host.next_step() for _ in range(4)]
        assert [isinstance(step, Step) and step.checkpoint.get("checkpoint") for step in steps[:3]] == ["same"] * 3
        assert steps[3] is None


async def test_a_stop_is_told_and_ends_the_step_in_hand() -> None:
    async with opened("stops") as host:
        assert isinstance(await host.next_step(), Step)
        waiting = asyncio.create_task(host.next_step())
        host.cancel()
        step = await asyncio.wait_for(waiting, 20)
        assert isinstance(step, Step) and step.checkpoint == {"checkpoint": 2}


async def test_one_that_hangs_is_told() -> None:
    async with opened("hangs", "Hasty") as host:
        with pytest.raises(AgentError, match=r"said nothing for 0\.5 s"):
            await host.next_step()


@pytest.mark.parametrize(
    ("how", "agent", "told"),
    [
        ("reserved", "Spoken", "is Pavo's own"),
        ("numbers", "Spoken", "progress"),
        ("key", "Spoken", "key"),
        ("", "Missing", "/nowhere/at-all cannot be run"),
    ],
)
async def test_what_trying_again_does_not_mend_is_refused(how: str, agent: str, told: str) -> None:
    async with opened(how, agent) as host:
        with pytest.raises(AgentRefused, match=told):
            await host.next_step()


@pytest.mark.parametrize("how", ["family", "deaf"])
@pytest.mark.parametrize("force", [True, False])
async def test_it_ends_with_all_that_it_started(force: bool, how: str) -> None:
    async with opened(how) as host:
        step = await host.next_step()
        assert isinstance(step, Step)
        pids: list[int] = step.checkpoint["checkpoint"]
        assert all(map(alive, pids))
        await host.close(force=force)

        async def gone() -> bool:
            return not any(map(alive, pids))

        await until(gone, seconds=10, what="the end of the program and of its children")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_class_that_cannot_be_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match="tuple of texts"):
        type("A", (CommandAgent,), {"command": "ls -l"})
    with pytest.raises(TypeError, match="takes isolation 'process'"):
        type("A", (CommandAgent,), {"isolation": "worker"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[]", "no object"),
        ('{"a b": ["/x"]}', "'a b' is no name"),
        ('{"a": "/x"}', "a is no list of texts"),
        ('{"a": []}', "a is no list of texts"),
        ('{"a": ["/x", 1]}', "a is no list of texts"),
        ('{"a": ["x"]}', "'x' does not begin with /"),
    ],
)
def test_what_an_operator_writes_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_commands(text)


def test_what_an_operator_writes_is_read() -> None:
    given: dict[str, Any] = {"crunch": ["/opt/crunch", "--json"], "b": ["/b"]}
    assert parse_commands(json.dumps(given)) == {"crunch": ("/opt/crunch", "--json"), "b": ("/b",)}
    assert parse_commands("") == {}
