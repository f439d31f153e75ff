"""The models of one task, without a worker: what is recorded, what is asked again, and who may write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.config import LlmSettings
from pavo.errors import Unavailable
from pavo.kit.sql import Database
from pavo.llm import calls
from pavo.llm.calls import ModelCalls
from pavo.llm.models import ModelCallRow
from pavo.tasks.work.context.asked_models import TaskModels
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.context.shown_answers import MOST_AT_ONCE, ShownAnswers
from pavo.timeline.merge import Members, merged
from pavo.usage.domain import Payer
from tests.driving import until
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.tools.rows import new_attempt, new_subject


class Seen:
    """What viewers of one attempt see."""

    def __init__(self) -> None:
        self.parts: dict[tuple[int, str], Members] = {}
        self.shown: list[str] = []
        """Each text of the first answer, whenever it changed."""

    def add(self, step: int, name: str, data: Members) -> None:
        members = self.parts[step, name] = merged(self.parts.get((step, name)), data)
        if name == "model_text":
            self.shown.append(members["text"])

    @property
    def texts(self) -> dict[tuple[int, str], str]:
        return {place: members["text"] for place, members in self.parts.items()}


class Caller:
    """A task that asks models."""

    def __init__(self, database: Database, server: ModelServer) -> None:
        self.database = database
        self.script: ModelScript = server.script({"text": "Yes."})
        self.settings = LlmSettings(base_url=server.base_url, model="scripted", tries=2, silence_seconds=5)
        self.opened: list[ModelCalls] = []
        self.cancelled = asyncio.Event()

    async def begin(self) -> "Caller":
        self.subject, user = await new_subject(self.database)
        self.payer = Payer(self.subject, user, "completing")
        self.begin_process()
        await self.take_over()
        return self

    def begin_process(self, settings: LlmSettings | None = None) -> None:
        """As another worker would."""
        self.calls = ModelCalls(self.database, settings or self.settings)
        self.opened.append(self.calls)

    async def close(self) -> None:
        for each in self.opened:
            await each.close()

    async def take_over(self) -> TaskModels:
        """Another attempt's models."""
        self.held = HeldEpoch(await new_attempt(self.database, self.subject))
        self.seen = Seen()
        self.models = TaskModels(
            self.calls, self.subject, self.held, self.cancelled, self.payer, ShownAnswers(self.seen.add)
        )
        return self.models

    async def ask(self, key: str, *texts: str, models: TaskModels | None = None, shown: int | None = 1) -> ModelAnswer:
        request = ModelRequest(self.script.request(*(texts or ("What?",))), None, key, f"key:{key}", shown)
        return await (models or self.models).complete(request)

    async def row(self) -> ModelCallRow:
        async with self.database.reading() as session:
            query = select(ModelCallRow).where(ModelCallRow.subject_id == self.subject.id)
            return (await session.scalars(query)).one()

    async def asked(self, times: int) -> None:
        async def so_often() -> bool:
            return sum(self.script.calls()) >= times

        await until(so_often, what=f"{times} requests")


@pytest_asyncio.fixture
async def caller(database: Database, model_server: ModelServer) -> AsyncIterator[Caller]:
    found = await Caller(database, model_server).begin()
    yield found
    await found.close()


def text(answer: ModelAnswer) -> Any:
    assert answer.value is not None, answer
    return answer.value["choices"][0]["message"]["content"]


async def test_asked_once_however_often_it_is_called(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "hold": True})
    first, second = (asyncio.create_task(caller.ask("a")) for _ in range(2))
    await caller.asked(1)
    first.cancel()
    caller.script.release()
    assert text(await second) == "Yes." == text(await caller.ask("a"))
    await caller.take_over()
    assert text(await caller.ask("a")) == "Yes." and caller.script.calls() == [1]
    row = await caller.row()
    assert (row.runs, row.state, row.model, row.endpoint) == (1, "done", "scripted", "default")


async def test_an_attempt_that_was_taken_over_records_nothing(caller: Caller) -> None:
    old = caller.models
    caller.script.tell({"text": "Old.", "hold": True})
    zombie = asyncio.create_task(caller.ask("a", models=old))
    await caller.asked(1)
    caller.begin_process()
    await caller.take_over()
    caller.script.tell({"text": "New."})
    assert text(await caller.ask("a")) == "New."
    caller.script.release()
    with pytest.raises(Unavailable):
        await zombie
    with pytest.raises(Unavailable):
        await caller.ask("b", models=old)
    row = await caller.row()
    assert row.answer["choices"][0]["message"]["content"] == "New." and row.runs == 2
    assert caller.script.calls() == [2], "the call that was in flight was made once more"


async def test_an_answer_under_way_in_the_same_process_is_taken_over(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "hold": True})
    first = asyncio.create_task(caller.ask("a"))
    await caller.asked(1)
    await caller.take_over()
    second = asyncio.create_task(caller.ask("a"))

    async def claimed() -> bool:
        return (await caller.row()).epoch == caller.held.epoch

    await until(claimed, what="the claim of the second")
    other = asyncio.create_task(caller.ask("b", "Another?"))
    await caller.asked(2)
    caller.script.release()
    assert text(await second) == "Yes." == text(await other)
    await asyncio.wait({first})
    assert caller.script.calls() == [1, 1], "what was in flight was asked again"


async def test_a_failure_is_told_and_asked_again(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "faults": [{"status": 500}, {"status": 500}]})
    failed = await caller.ask("a")
    assert failed.error is not None and not failed.refused and failed.status == 500
    row = await caller.row()
    assert row.state == "failed" and "500" in (row.error or "")
    assert text(await caller.ask("a")) == "Yes." and (await caller.row()).runs == 2


async def test_a_key_names_one_request(caller: Caller) -> None:
    await caller.ask("a", "One?")
    changed = await caller.ask("a", "Two?")
    assert changed.refused and "key" in (changed.error or "") and len(caller.script.calls()) == 1


async def test_by_the_key_of_a_call_without_an_answer_another_request_is_made(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "faults": [{"status": 400}]})
    refused = await caller.ask("a", "Too long?")
    assert refused.refused and refused.status == 400
    caller.script.tell({"text": "Yes."})
    assert text(await caller.ask("a", "Short?")) == "Yes.", "in the same attempt"
    changed = await caller.ask("a", "Too long?")
    assert changed.refused and changed.status == 409, "it has its answer"
    await caller.take_over()
    assert text(await caller.ask("a", "Short?")) == "Yes."
    assert caller.script.calls() == [1, 1] and (await caller.row()).runs == 2


async def test_a_later_attempt_asks_another_request_than_the_one_that_died_in_its_middle(caller: Caller) -> None:
    caller.script.tell({"text": "Old.", "hold": True})
    old = caller.models
    zombie = asyncio.create_task(caller.ask("a", "One?", models=old))
    await caller.asked(1)
    caller.begin_process()
    await caller.take_over()
    caller.script.tell({"text": "New."})
    assert text(await caller.ask("a", "Two?")) == "New."
    caller.script.release()
    with pytest.raises(Unavailable):
        await zombie
    row = await caller.row()
    assert row.answer["choices"][0]["message"]["content"] == "New." and row.runs == 2
    assert text(await caller.ask("a", "Two?")) == "New." and (await caller.ask("a", "One?")).status == 409


async def test_what_an_earlier_attempt_asks_otherwise_in_the_same_process_ends_first(caller: Caller) -> None:
    caller.script.tell({"text": "Old.", "hold": True})
    zombie = asyncio.create_task(caller.ask("a", "One?"))
    await caller.asked(1)
    await caller.take_over()
    second = asyncio.create_task(caller.ask("a", "Two?"))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(second), 0.3)
    zombie.cancel()
    await asyncio.wait({zombie})
    caller.script.tell({"text": "New."})
    caller.script.release()
    assert text(await second) == "New." and sum(caller.script.calls()) >= 1
    row = await caller.row()
    assert row.answer["choices"][0]["message"]["content"] == "New." and row.epoch == caller.held.epoch


async def test_what_is_recorded_needs_no_endpoint(caller: Caller) -> None:
    await caller.ask("a")
    caller.begin_process(LlmSettings(base_url=""))
    await caller.take_over()
    assert text(await caller.ask("a")) == "Yes."
    missing = await caller.ask("b")
    assert missing.refused and "PAVO_LLM_BASE_URL" in (missing.remedy or "")


async def test_an_answer_is_kept_while_postgresql_is_away(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its commit came through is not known either: recording it again changes nothing."""
    failures = iter((True, True))
    settle = calls.journal.settle

    async def cut(*given: Any, **more: Any) -> bool:
        if next(failures, False):
            raise Unavailable("It went away.", dependency="postgresql")
        await settle(*given, **more)
        return await settle(*given, **more)

    monkeypatch.setattr(calls.journal, "settle", cut)
    assert text(await caller.ask("a")) == "Yes." and caller.script.calls() == [1]
    assert (await caller.row()).state == "done"


async def test_told_to_stop_it_is_given_up(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pavo.tasks.work.context.asked_models.GRACE_SECONDS", 0.05)
    caller.script.tell({"text": "Yes.", "hold": True})
    asking = asyncio.create_task(caller.ask("a"))
    await caller.asked(1)
    caller.cancelled.set()
    with pytest.raises(Unavailable):
        await asking


async def test_viewers_see_an_answer_while_it_is_made_and_of_a_lost_try_nothing_stays(caller: Caller) -> None:
    caller.script.tell({"text": "Wrens weigh seven grams.", "faults": [{"cut": 3}]})
    await caller.ask("a")
    seen = caller.seen
    assert seen.texts == {(1, "model_text"): "Wrens weigh seven grams."}
    half = seen.shown.index("")
    assert seen.shown[half - 1] == "Wrens weigh se", "of the try that was cut"
    after = seen.shown[half + 1 :]
    assert all("Wrens weigh seven grams.".startswith(text) for text in after) and len(after) > 1
    told = len(seen.shown)
    await caller.ask("a")
    assert len(seen.shown) == told, "a recorded answer shows nothing"
    await caller.ask("b", "Else?", shown=None)
    assert len(seen.shown) == told, "nor does one that is not to be shown"


async def test_of_an_answer_that_does_not_come_nothing_stays(caller: Caller) -> None:
    caller.script.tell({"text": "Wrens weigh seven grams.", "faults": [{"cut": 3}] * 5})
    assert (await caller.ask("a")).value is None
    assert caller.seen.texts == {(1, "model_text"): ""} and any(caller.seen.shown)


async def test_answers_at_once_are_shown_side_by_side_and_the_next_in_the_place_of_the_first(caller: Caller) -> None:
    caller.script.tell({"text": "Yes, yes, yes, yes.", "hold": True})
    asking = [asyncio.create_task(caller.ask(str(each), str(each))) for each in range(MOST_AT_ONCE + 2)]

    async def all_seen() -> bool:
        return len(caller.seen.parts) == MOST_AT_ONCE and sum(caller.script.calls()) == MOST_AT_ONCE + 2

    await until(all_seen, what="answers to be seen")
    caller.script.release()
    await asyncio.gather(*asking)
    places = [f"model_text:{number}" for number in range(2, MOST_AT_ONCE + 1)]
    assert caller.seen.texts == dict.fromkeys(
        [(1, "model_text"), *((1, each) for each in places)], "Yes, yes, yes, yes."
    )
    caller.script.tell({"text": "No."})
    await caller.ask("next", "And?")
    assert caller.seen.texts[1, "model_text"] == "No."


async def test_whoever_takes_an_answer_over_that_is_under_way_sees_what_was_said(caller: Caller) -> None:
    caller.script.tell({"text": "Wrens weigh seven grams.", "hold": True})
    first = asyncio.create_task(caller.ask("a"))
    old = caller.seen

    async def seen() -> bool:
        return bool(old.shown)

    await until(seen, what="the answer to be seen")
    models = await caller.take_over()
    second = asyncio.create_task(caller.ask("a", models=models))

    async def seen_too() -> bool:
        return bool(caller.seen.shown)

    await until(seen_too, what="the answer to be seen by those of the next attempt")
    caller.script.release()
    assert text(await second) == "Wrens weigh seven grams."
    assert caller.seen.texts == {(1, "model_text"): "Wrens weigh seven grams."}
    first.cancel()
    assert caller.script.calls() == [1]


async def test_a_model_that_is_not_permitted_is_not_asked(caller: Caller) -> None:
    await caller.ask("before")
    organisation = caller.subject.organisation_id
    rules = {
        "scripted": True,
        "other script?d": True,
        "completing=script*": True,
        f"@{organisation}=scripted": True,
        f"compl*@{organisation}=scripted other": True,
        "other": False,
        "llm=scripted other": False,
        f"completing@{caller.subject.id}=scripted": False,
    }
    for number, (rule, permitted) in enumerate(rules.items()):
        caller.begin_process(LlmSettings(**{**caller.settings.model_dump(), "models": rule}))
        await caller.take_over()
        answer = await caller.ask(f"rule-{number}")
        assert (answer.value is not None) == permitted, rule
        if not permitted:
            assert (answer.status, answer.refused) == (403, True)
            assert "'scripted'" in str(answer.error) and "PAVO_LLM_MODELS" in str(answer.remedy)
        assert text(await caller.ask("before")) == "Yes.", "what is recorded stays"
    assert caller.script.calls() == [6], "of the same request, those that are permitted"
