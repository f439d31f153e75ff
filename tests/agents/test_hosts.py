"""Both hosts keep the same promises to the task and to the agent."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from sample_agents import NUMBERS, PLAIN_RELATIVES, Breach, Deep, NoGenerator, Raising, Sample, Slow, Stubborn, nested

from conftest import LIMITS, PLAN, context, opened, until
from pavo.agents.contract import Event, FeedbackItem, PlanDraft, PlanStep, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.open_host import open_host
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.output import send_output_to
from pavo.agents.registry import AgentRegistry
from pavo.errors import AgentDied, AgentError, AgentRefused, Unavailable
from pavo.tasks.sql.steps import checkpoint_text
from pavo.timeline.domain import NewEvent, payload

pytestmark = pytest.mark.parametrize("kind", ["worker", "process"])


async def test_a_whole_life(kind: str) -> None:
    async with opened(kind, Sample, n=3) as host:
        draft = await host.plan()
        assert draft == PlanDraft("Do Analyze: ['Memo']", (PlanStep("one"), PlanStep("two", "x")))
        revision = await host.revise(PLAN, [FeedbackItem("f1", "more", 2), FeedbackItem("f2", "less")])
        assert [step.title for step in revision.plan.steps] == ["one", "two", "because of more", "because of less"]
        assert revision.answers == {"f1": "done 2", "f2": "done None"}
        await host.open(PLAN, None)
        steps = [await host.next_step() for _ in range(4)]
        found = (Event("found", {"titles": ["q2/3"], "plan": "h1"}),)
        assert steps[1] == Step({"n": 2, "ü": "\N{SNOWMAN}"}, found, progress=2, total=3)
        assert [step and step.progress for step in steps] == [1, 2, 3, None]
        assert await host.next_step() is None
        assert await host.report(PLAN, {"n": 3}) == "# Analyze\n{'n': 3} by v1"


async def test_goes_on_from_a_checkpoint(kind: str) -> None:
    async with opened(kind, Sample, n=3) as host:
        await host.open(PLAN, {"n": 2})
        step = await host.next_step()
        assert step is not None and step.checkpoint["n"] == 3
        assert await host.next_step() is None


@pytest.mark.parametrize(
    ("what", "detail"),
    [
        ("value", "ValueError: bad \N{REPLACEMENT CHARACTER} value"),
        ("exit", "SystemExit: 3"),
        ("message", "BadMessage: (its message cannot be shown)"),
        ("group", "KeyError: 'inner'"),
        ("cancelled", "CancelledError: the agent cancelled itself."),
        ("bug", None),
        ("invalid", None),
    ],
)
async def test_an_agents_error_has_its_type_and_message(kind: str, what: str, detail: str | None) -> None:
    async with opened(kind, Raising, what=what) as host:
        with pytest.raises(AgentError) as caught:
            await host.plan()
        assert type(caught.value) is AgentError
        assert detail is None or caught.value.detail == detail
        await host.open(PLAN, None)
        assert await host.next_step() == Step(1)
        with pytest.raises(AgentError) as caught:
            await host.next_step()
        assert detail is None or caught.value.detail == detail
        with pytest.raises((RuntimeError, AgentError)):
            await host.next_step()


async def test_long_messages_are_cut(kind: str) -> None:
    async with opened(kind, Raising, what="long") as host:
        with pytest.raises(AgentError) as caught:
            await host.plan()
        assert len(caught.value.detail) == 2000


@pytest.mark.parametrize(("what", "detail"), [("refused", "useless"), ("refused group", "deep")])
async def test_a_refusal_passes(kind: str, what: str, detail: str) -> None:
    async with opened(kind, Raising, what=what) as host:
        with pytest.raises(AgentRefused) as caught:
            await host.plan()
        assert caught.value.detail == detail


@pytest.mark.parametrize("what", ["away", "unread"])
async def test_an_outage_of_what_it_reads_is_not_the_agents_error(kind: str, what: str) -> None:
    async with opened(kind, Raising, what=what) as host:
        with pytest.raises(Unavailable) as caught:
            await host.plan()
        assert (caught.value.dependency, caught.value.retry_after) == ("postgres", 7)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("set", "not JSON"),
        ("keys", "key 1"),
        ("nul", "NUL"),
        ("nul key", "NUL"),
        ("surrogate", "surrogate"),
        ("nan", "not JSON"),
        ("infinity", "not JSON"),
        ("deep", "deeper than 64"),
        ("65 levels", "deeper than 64"),
        ("255 levels", "deeper than 64"),
        ("event of 65 levels", "deeper than 64"),
        ("circle", "deeper than 64"),
        ("bytes", "bytes"),
        ("datetime", "datetime"),
        ("uuid", "UUID"),
        ("enum", "Shape"),
        ("dataclass", "Event"),
        ("large integer", "64 bits"),
        ("event integer", "64 bits"),
        ("event uuid", "UUID"),
        ("large", "1,000,003 bytes"),
        ("no step", "yielded dict"),
        ("own type", "'tick' is Pavo's own"),
        ("odd type", "no event type"),
        ("no event", "not an Event"),
        ("event data", "not a mapping"),
        ("event seq", "seq"),
        ("event nul", "NUL"),
        ("large event", "64,009 bytes"),
        ("many events", "1001 events"),
        ("large events", "together"),
        ("events", "sequence of Event"),
        ("progress", "Step.progress is 1.5"),
        ("total", "Step.total is -1"),
    ],
)
async def test_a_wrong_step_is_refused(kind: str, what: str, says: str) -> None:
    async with opened(kind, Breach, what=what) as host:
        await host.open(PLAN, None)
        with pytest.raises(AgentRefused, match=says):
            await host.next_step()


@pytest.mark.parametrize(
    ("what", "kept"), [("relatives", PLAIN_RELATIVES), ("numbers", NUMBERS), ("64 levels", nested(64))]
)
async def test_what_the_check_takes_is_what_is_written(kind: str, what: str, kept: Any) -> None:
    async with opened(kind, Breach, what=what) as host:
        await host.open(PLAN, None)
        step = await host.next_step()
    assert step is not None
    written = json.loads(checkpoint_text(step.checkpoint))
    assert repr(step.checkpoint) == repr(written) == repr(kept)
    for event in step.events:
        assert json.loads(payload([NewEvent(event.type, event.data)])) == [{"a": kept, "type": "x"}]


async def test_text_that_only_looks_like_a_nul_is_fine(kind: str) -> None:
    async with opened(kind, Breach, what="nul text") as host:
        await host.open(PLAN, None)
        assert await host.next_step() == Step({"a": "\\u0000"})


@pytest.mark.parametrize("what", ["empty", "type", "nul", "step", "steps", "title", "detail", "large"])
async def test_a_wrong_plan_is_refused(kind: str, what: str) -> None:
    async with opened(kind, Breach, what=what) as host:
        with pytest.raises(AgentRefused):
            await host.plan()


@pytest.mark.parametrize("what", ["type", "missing", "unknown", "answer", "answers"])
async def test_a_wrong_revision_is_refused(kind: str, what: str) -> None:
    async with opened(kind, Breach, what=what) as host:
        with pytest.raises(AgentRefused):
            await host.revise(PLAN, [FeedbackItem("f1", "more")])


async def test_text_by_another_name_is_text(kind: str) -> None:
    async with opened(kind, Breach, what="relative") as host:
        report = await host.report(PLAN, None)
        answers = (await host.revise(PLAN, [FeedbackItem("f1", "more")])).answers
    assert [type(report), report] == [str, "red"] and repr(answers) == "{'f1': 'red'}"


@pytest.mark.parametrize("what", ["type", "nul", "large", "surrogate"])
async def test_a_wrong_report_is_refused(kind: str, what: str) -> None:
    async with opened(kind, Breach, what=what) as host:
        with pytest.raises(AgentRefused):
            await host.report(PLAN, None)


async def test_methods_of_the_wrong_kind_are_refused(kind: str) -> None:
    async with opened(kind, NoGenerator) as host:
        await host.open(PLAN, None)
        with pytest.raises(AgentRefused, match="async iterator"):
            await host.next_step()
        with pytest.raises(AgentRefused, match="async def"):
            await host.report(PLAN, None)


async def test_a_step_may_heed_a_stop(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with opened(kind, Slow, mark=str(mark), heed=True) as host:
        await host.open(PLAN, None)
        assert await host.next_step() == Step({"n": 0})
        step = asyncio.create_task(host.next_step())
        await until(mark.exists)
        host.cancel()
        assert await step == Step({"n": 1})


async def test_a_stop_before_the_first_call_is_seen(kind: str, tmp_path: Path) -> None:
    async with opened(kind, Slow, mark=str(tmp_path / "mark"), heed=True) as host:
        host.cancel()
        await host.open(PLAN, None)
        assert [await host.next_step(), await host.next_step()] == [Step({"n": 0}), Step({"n": 1})]


async def test_cancelling_cuts_the_step(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with opened(kind, Slow, mark=str(mark)) as host:
        await host.open(PLAN, None)
        await host.next_step()
        step = asyncio.create_task(host.next_step())
        await until(mark.exists)
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        await until(lambda: mark.read_text() == "cleaned up")


async def test_where_a_step_hangs_is_told(kind: str, tmp_path: Path) -> None:
    mark, told = tmp_path / "mark", list[str]()
    send_output_to(told.append)
    async with opened(kind, Deep, mark=str(mark)) as host:
        await host.open(PLAN, None)
        await host.next_step()
        step = asyncio.create_task(host.next_step())
        await until(mark.exists)
        await host.tell_stack()
        await until(lambda: "in _waits_for_ever" in "".join(told))
        text = "".join(told)
        assert text.index("in execute") < text.index("in _inner") < text.index("in _waits_for_ever")
        assert kind == "worker" or "in _beside" in text  # the loop of this test does not know whose its tasks are
        assert not step.done() and host.is_open()
        step.cancel()
        await asyncio.wait({step})


async def test_an_agent_that_cannot_tell_where_it_hangs_is_ended_by_that(kind: str, tmp_path: Path) -> None:
    if kind == "worker":
        pytest.skip("It blocks who would ask.")
    mark, told = tmp_path / "mark", list[str]()
    send_output_to(told.append)
    async with opened(kind, Deep, dataclasses.replace(LIMITS, silence_seconds=60), mark=str(mark), block=True) as host:
        await host.open(PLAN, None)
        await host.next_step()
        step = asyncio.create_task(host.next_step())
        await until(mark.exists)
        await host.tell_stack()
        with pytest.raises(AgentDied, match="SIGABRT"):
            await step
    assert "in _inner" in "".join(told)


async def test_cancelling_a_plan_cuts_it(kind: str, tmp_path: Path) -> None:
    async with opened(kind, Slow) as host:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.plan(), 0.5)


async def test_close_cleans_up_between_steps(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with opened(kind, Slow, mark=str(mark)) as host:
        await host.open(PLAN, None)
        await host.next_step()
        await host.close()
        assert mark.read_text() == "cleaned up"
        await host.close(force=True)


async def test_close_ends_a_step_in_flight(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with opened(kind, Slow, mark=str(mark)) as host:
        await host.open(PLAN, None)
        await host.next_step()
        step = asyncio.create_task(host.next_step())
        await until(mark.exists)
        await host.close()
        assert mark.read_text() == "cleaned up"
        assert isinstance((await asyncio.gather(step, return_exceptions=True))[0], Exception)


@pytest.mark.parametrize("force", [False, True])
async def test_close_leaves_a_stubborn_agent_behind(kind: str, force: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ctx = context(mark=str(mark))
    limits = HostLimits(close_seconds=0.3)
    host: Any = (
        WorkerHost(Stubborn, ctx, limits) if kind == "worker" else ProcessHost("sample_agents:Stubborn", ctx, limits)
    )
    await host.open(PLAN, None)
    step = asyncio.create_task(host.next_step())
    await until(mark.exists)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await host.close(force=force)
    assert loop.time() - began < 20
    ctx.cancelled.set()
    await asyncio.gather(step, return_exceptions=True)


async def test_close_without_any_call(kind: str) -> None:
    async with opened(kind, Sample) as host:
        await host.close()
        await host.close(force=True)


async def test_close_may_be_cancelled(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with opened(kind, Slow, mark=str(mark)) as host:
        await host.open(PLAN, None)
        await host.next_step()
        closing = asyncio.create_task(host.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


async def test_many_agents_at_once(kind: str) -> None:
    async def life() -> int:
        async with opened(kind, Sample, n=5) as host:
            await host.open(PLAN, None)
            count = 0
            while await host.next_step() is not None:
                count += 1
            return count

    assert await asyncio.gather(*(life() for _ in range(8))) == [5] * 8


async def test_isolation_chooses_the_host(kind: str) -> None:
    card = dataclasses.replace(AgentRegistry.load().card("intern"), isolation=kind)
    host = open_host(card, context(), LIMITS)
    assert isinstance(host, WorkerHost if kind == "worker" else ProcessHost)
