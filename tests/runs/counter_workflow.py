"""The workflow of the second kind: a counter that is counted up by commands."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pavo.runs.fence import Fence
    from pavo.runs.story import SIGNAL_MOVE_ON, Story, in_short_slots, run_short_activity
    from tests.runs.counter_contracts import CONFIG

TYPE: Final = "TestCounter"
REFUSED_NEGATIVE: Final = "Negative"


@dataclass(slots=True)
class CounterState:
    transition: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class CounterInput:
    counter_id: str
    generation: int
    full_at: int
    state: CounterState | None = None


@dataclass(frozen=True, slots=True)
class Show:
    counter_id: str
    fence: Fence
    stage: str
    count: int


class CounterWrites(ABC):
    @activity.defn(name="test_show_counter")
    @abstractmethod
    async def show(self, request: Show) -> None: ...

    @activity.defn(name="test_beat")
    @abstractmethod
    async def beat(self) -> str: ...


@workflow.defn(name=TYPE)
class Counter:
    @workflow.init
    def __init__(self, request: CounterInput) -> None:
        self._request = request
        self._state = request.state or CounterState()
        self._story = Story(request.generation, self._state)
        self._shown = request.state is not None

    @workflow.run
    async def run(self, request: CounterInput) -> str:
        if not self._shown:
            await self._show("COUNTING")
            self._shown = True
        story, state = self._story, self._state
        while state.count < request.full_at and not story.stopping:
            if story.is_due():
                await story.continue_as_new(CounterInput(request.counter_id, story.generation, request.full_at, state))
            await workflow.wait_condition(lambda: story.stopping or state.count >= request.full_at or story.is_due())
        stage = "FULL" if state.count >= request.full_at else "STOPPED"
        async with story.in_order:  # whoever adds just now is told first
            await self._show(stage)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return stage

    async def _show(self, stage: str) -> None:
        request = Show(self._request.counter_id, self._story.fence(), stage, self._state.count)
        await run_short_activity(CounterWrites.show, request)

    @workflow.update(name="add")
    async def add(self, number: int) -> int:
        if number < 0:
            raise ApplicationError("It only counts up.", type=REFUSED_NEGATIVE, non_retryable=True)
        await workflow.wait_condition(lambda: self._shown)
        async with self._story.in_order:
            self._state.count += number
            await self._show("COUNTING")
            return self._state.count

    @workflow.update(name="stop")
    async def stop(self) -> int:
        self._story.stopping = True
        return self._state.count

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        self._story.moving_on = True


@workflow.defn(name="TestCounterBeat")
class Beat:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity_method(CounterWrites.beat, **in_short_slots(CONFIG))
