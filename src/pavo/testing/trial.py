"""A trial of an agent: its whole life, undisturbed; then begun again, cancelled and killed at every checkpoint."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, NoReturn, TypeVar

import orjson

from pavo.agents.asking.question import Waits
from pavo.agents.calling.gateway import Gateway, GivenGateway, NoGateway
from pavo.agents.context.corpus import TaskUser
from pavo.agents.contract import JSON, Agent, AgentContext, FeedbackItem, Former, Isolation, Plan, PlanDraft, Step
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.starting import ChildStarter
from pavo.agents.step_keys import plan_key
from pavo.errors import AgentDied, AgentError, PavoError
from pavo.kit.json_values import encode_text
from pavo.testing.artifacts import KeptFiles
from pavo.testing.corpus import MemoryCorpus
from pavo.testing.cuts import Cuts
from pavo.testing.delegated import DelegatedScript, TriedChildren
from pavo.testing.description import Description, describe
from pavo.testing.emitted import Emitted
from pavo.testing.models import Script, TriedModels
from pavo.testing.outcome import ContractBroken, Outcome, difference, everything
from pavo.testing.people import ScriptedPeople
from pavo.testing.secrets import TriedSecrets
from pavo.testing.tools import KEYS, TriedTools
from pavo.testing.transcript import GivenPast, MemoryTranscript
from pavo.transcripts.domain import Transcript

T = TypeVar("T")

AUTHOR: Final = TaskUser(uuid.UUID(int=1), "author@example.com", "author")
"""Whom a trial's task runs for."""
_FEEDBACK: Final = (FeedbackItem("f1", "Say more."), FeedbackItem("f2", "Say less here.", 1))


class AgentTrial:
    """Drives one agent through the whole life of a task, as often as its checks need.

    Args:
        agent: its class; in isolation `process` one that can be imported by its name.
        options: `agent_options` of the task; defaults of the schema are filled in.
        documents: the organisation's corpus, text by title.
        feedback: what `revise` is asked to answer.
        isolation: the agent's own where none is given.
        seconds: limit of each call, so that an agent that hangs fails its test.
        max_checkpoints: an agent that yields more counts as endless.
        same: what of an outcome must be the same however it was disturbed; less than all where a model is asked.
        answers: what people answer, by the key of `ctx.ask`: each question ends the attempt once, as it would.
        delegated: what comes of `ctx.delegate`, by the agent: a report, or a function of what is delegated.
        tools: what stands in for each tool, by its name: functions with type hints and a docstring, called once a life.
        denied: tools whose calls are denied, and why, as by a policy.
        secrets: the organisation's, by name: `ctx.secret` finds those that the class declares.
        models: what models answer `ctx.complete`: a function of the request, or answers in their order: texts,
            messages, whole chat completions, errors to raise. None is asked for again in the same life.
        former: what `ctx.former` answers, for a trial of a follow-up.
        gateway: what `ctx.gateway` answers: a server of the test's own.
        reset: called before each life: empties what stands in for the outside world.
        outside: called after each life: what the agent did there, which must be the same too: key it by `ctx.step_key`.
    """

    _starter: ChildStarter | None = None

    def __init__(
        self,
        agent: type[Agent],
        *,
        prompt: str = "",
        title: str = "A trial",
        options: Mapping[str, JSON] | None = None,
        documents: Mapping[str, str] | None = None,
        feedback: Sequence[FeedbackItem] = _FEEDBACK,
        isolation: Isolation | None = None,
        seconds: float = 30.0,
        max_checkpoints: int = 1000,
        same: Callable[[Outcome], Any] = everything,
        answers: Mapping[str, JSON] | None = None,
        delegated: DelegatedScript | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        denied: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        models: Script = (),
        former: Former | None = None,
        gateway: Gateway | None = None,
        reset: Callable[[], object] | None = None,
        outside: Callable[[], Any] | None = None,
    ) -> None:
        self._task = (uuid.uuid4(), uuid.uuid4(), title, prompt)
        self._agent, self._options, self._feedback = agent, options, feedback
        self._corpus, self._kept, self._past = MemoryCorpus(documents), KeptFiles(), GivenPast(former)
        self._isolation: Isolation | None = isolation
        self._seconds, self._max, self._same = seconds, max_checkpoints, same
        self._people, self._children = ScriptedPeople(answers or {}), TriedChildren(delegated or {})
        self._tools = TriedTools(tools or {}, denied or {}, self._kept)
        self._emitted, self._transcript = Emitted(), MemoryTranscript()
        self._secrets, self._models = secrets or {}, TriedModels(models)
        self._gateways = NoGateway() if gateway is None else GivenGateway(gateway)
        self._reset, self._outside, self._attempts = reset, outside, 0
        self._described: Description | None = None

    def check(self, *, every: int = 1) -> Outcome:
        """All checks, for a test that is no coroutine; the outcome of the undisturbed life.

        Args:
            every: disturb at every n-th checkpoint alone, where there are many.

        Raises:
            ContractBroken: one of them failed.
        """
        return asyncio.run(self.check_all(every=every))

    async def check_all(self, *, every: int = 1) -> Outcome:
        """The same in a coroutine."""
        outcome = await self.check_contract()
        await self.check_reentry(every=every)
        await self.check_cuts(every=every)
        await self.check_cancellation(every=every)
        return outcome

    async def check_contract(self) -> Outcome:
        """The class describes a usable agent, its options fit its schema, each method gives what the contract wants.

        It plans, answers the feedback, executes the revised plan to its end, and reports.
        """
        self._described = None
        async with self._process():
            return await self._life(Cuts())

    async def check_reentry(self, *, every: int = 1) -> None:
        """Closed and begun again after every n-th checkpoint, it comes to the same end and repeats nothing."""
        async with self._process():
            await self._undisturbed_like(every, "begun again after checkpoint", lambda at: [Cuts(after=at)])

    async def check_cuts(self, *, every: int = 1) -> None:
        """Killed before and after every n-th checkpoint is recorded, it comes to the same end.

        Before: its checkpoint is lost; what the step did outside happens once nevertheless, as far as `outside` tells.
        """

        def cuts(at: frozenset[int]) -> list[Cuts]:
            return [Cuts(after=at, force=True), Cuts(before=at, force=True)]

        async with self._process():
            await self._undisturbed_like(every, "killed at checkpoint", cuts)

    async def check_cancellation(self, *, every: int = 1) -> None:
        """Stopped in the middle of every n-th step, of a plan and of a report, it leaves within its `stop_grace`: by a
        `yield` of what it has, by its end or by raising; and begun again it still comes to its end."""
        async with self._process():
            self._transcript.forget()
            plan = await self._planned()
            async with self._host(plan.version) as host:
                await self._leaves(host, host.plan(), "plan()")
            steps, checkpoint = await self._cancelled_steps(plan, every)
            async with self._host(plan.version, steps=steps) as host:
                await self._leaves(host, host.report(plan, checkpoint), "report()")

    async def run(self) -> Outcome:
        """One undisturbed life, for what else a test wants to look at."""
        async with self._process():
            return await self._life(Cuts())

    # The lives

    @asynccontextmanager
    async def _process(self) -> AsyncGenerator[None]:
        """What a worker is to agents that run inside of it: set up at their first call, torn down at its end."""
        from pavo.agents.asking.waiting import follow_tasks
        from pavo.agents.hosts.lifecycle import tear_down
        from pavo.agents.hosts.preloading import Preloading
        from pavo.config import AgentSettings

        self._starter = starter = Preloading(memory_mb=HostLimits().memory_mb, named=AgentSettings().names)
        end_following = follow_tasks(asyncio.get_running_loop())
        try:
            yield
        finally:
            end_following()
            await starter.close()
            failed = await tear_down(HostLimits().close_seconds)
        if failed:
            self._broken(failed[0].rstrip(), "Let it end, and within two seconds.")

    async def _undisturbed_like(
        self, every: int, what: str, cuts_at: Callable[[frozenset[int]], Sequence[Cuts]]
    ) -> None:
        undisturbed = await self._life(Cuts())
        at = frozenset(range(every, len(undisturbed.steps) + 1, every))
        for cuts in cuts_at(at):
            disturbed = await self._life(cuts)
            where = f"{what} {', '.join(map(str, sorted(at)[:5]))}{' …' if len(at) > 5 else ''}"
            expected, found = self._same(undisturbed), self._same(disturbed)
            if expected != found:
                self._broken(
                    f"{where} it comes to another end. {difference(expected, found)}",
                    "Keep the whole state in the checkpoint, and go on from the one that `execute` is given.",
                )
            if undisturbed.outside != disturbed.outside:
                self._broken(
                    f"{where} it leaves another outside. {difference(undisturbed.outside, disturbed.outside)}",
                    "Key what happens outside by ctx.step_key, so that a repeated step finds what it did before.",
                )

    async def _life(self, cuts: Cuts) -> Outcome:
        for part in (self._people, self._children, self._tools, self._emitted):
            part.forget()
        for kept in (self._transcript, self._kept, self._models):
            kept.forget()
        if self._reset is not None:
            self._reset()
        plan = await self._planned()
        steps, report = await self._executed(plan, cuts)
        outside = self._outside() if self._outside is not None else None
        return Outcome(plan, steps, report, outside, self._emitted.said, self._kept.contents)

    async def _planned(self) -> Plan:
        async with self._host(1) as host:
            first = _plan(1, await self._answer(host.plan(), "plan()"))
        if not self._feedback:
            return first
        async with self._host(2) as host:
            revision = await self._answer(host.revise(first, self._feedback), "revise()")
        return _plan(2, revision.plan)

    async def _executed(self, plan: Plan, cuts: Cuts) -> tuple[list[Step], str]:
        steps: list[Step] = []
        lost: set[int] = set()
        while True:
            checkpoint = _stored(steps[-1].checkpoint) if steps else None
            async with self._host(plan.version, steps=len(steps), force=cuts.force) as host:
                await self._answer(host.open(plan, checkpoint), "execute()")
                if await self._driven(host, plan, steps, cuts, lost):
                    checkpoint = _stored(steps[-1].checkpoint) if steps else None
                    return steps, await self._answer(host.report(plan, checkpoint), "report()")

    async def _driven(self, host: AgentHost, plan: Plan, steps: list[Step], cuts: Cuts, lost: set[int]) -> bool:
        """Whether the agent has no more; False where it is cut."""
        while True:
            number = len(steps) + 1
            step = await self._answer(host.next_step(), f"execute(), checkpoint {number},")
            if step is None:
                return True
            if isinstance(step, Waits):
                self._answered(step)
                return False
            if number in cuts.before and number not in lost:
                lost.add(number)
                return False
            self._add(steps, step, plan)
            if number in cuts.after:
                return False

    async def _cancelled_steps(self, plan: Plan, every: int) -> tuple[int, JSON]:
        """How many steps it took to the end, and the last checkpoint."""
        steps: list[Step] = []
        disturbed = 0
        while True:
            number, checkpoint = len(steps) + 1, _stored(steps[-1].checkpoint) if steps else None
            cancel = number % every == 0 and disturbed < number
            async with self._host(plan.version, steps=len(steps)) as host:
                await self._answer(host.open(plan, checkpoint), "execute()")
                what = f"execute(), checkpoint {number},"
                call = host.next_step()
                step = await (self._leaves(host, call, what) if cancel else self._answer(call, what))
            if isinstance(step, Waits):
                self._answered(step)
            elif step is not None:
                self._add(steps, step, plan)
            elif not cancel:
                return len(steps), checkpoint
            disturbed = max(disturbed, number)

    def _answered(self, waits: Waits) -> None:
        """Have people answer; the agent begins again from its last checkpoint."""
        if missing := self._people.missing(waits):
            self._broken(f"it asks {', '.join(missing)}, and nobody answers", "Give the trial answers={key: answer}.")
        if missing := self._children.missing(waits):
            self._broken(f"it delegates to {', '.join(missing)}", "Give the trial delegated={agent: report}.")

    def _add(self, steps: list[Step], step: Step, plan: Plan) -> None:
        steps.append(step)
        self._transcript.add(step, plan.version, len(steps))
        if len(steps) > self._max:
            self._broken(
                f"execute() yielded more than {self._max} checkpoints",
                "Give the trial a smaller task, or a larger max_checkpoints.",
            )

    # One call

    @asynccontextmanager
    async def _host(self, version: int, *, steps: int = 0, force: bool = False) -> AsyncGenerator[AgentHost]:
        described = self._description()
        self._attempts += 1
        task_id, _, title, prompt = self._task
        ctx = AgentContext(
            *self._task,
            options=described.options,
            corpus=self._corpus,
            context=await self._corpus.search(f"{title} {prompt}") if described.card.wants_context else (),
            steps=steps,
            user=AUTHOR,
            attempt=self._attempts,
            step_key=plan_key(task_id, 0, version),
            people=self._people,
            children=self._children,
            tools=self._tools,
            emitter=self._emitted.emitter(),
            inbox=self._past,
            transcript=Transcript(self._transcript),
            secrets=TriedSecrets(self._secrets, described.card.secrets),
            artifacts=Artifacts(self._kept),
            models=self._models,
            gateways=self._gateways,
            ledger=self._tools,
            signatures=KEYS.of(task_id, described.card.name),
        )
        host = self._opened(described, ctx, limits := HostLimits(start_seconds=self._seconds))
        try:
            yield host
        finally:
            await self._close(host, limits, force)

    def _opened(self, described: Description, ctx: AgentContext, limits: HostLimits) -> AgentHost:
        from pavo.agents.hosts.open_host import open_host

        try:
            return open_host(described.card, ctx, limits, self._starter)
        except PavoError as error:
            self._broken(f"its class cannot be loaded: {error.detail}", "Mend its module.")

    async def _close(self, host: AgentHost, limits: HostLimits, force: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await host.close(force=force)
        if not force and loop.time() - began >= limits.close_seconds:
            self._broken(
                f"it did not end within {limits.close_seconds:g} s when its generator was closed",
                "Let CancelledError and GeneratorExit pass; keep `finally` short.",
            )

    def _description(self) -> Description:
        if self._described is None:
            try:
                found = describe(self._agent, self._options)
            except PavoError as error:
                self._broken(error.detail.rstrip("."), error.remedy or "")
            isolation = self._isolation or found.card.isolation
            self._described = replace(found, card=replace(found.card, isolation=isolation))
        return self._described

    async def _answer(self, call: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await call
        except TimeoutError:
            self._broken(f"{what} did not answer within {self._seconds:g} s", "Give the trial more `seconds`.")
        except AgentDied as death:
            self._broken(f"its process died in {what}: {death.detail}", "Look at what it printed.")
        except AgentError as error:
            self._broken(f"{what} failed: {error.detail.rstrip('.')}", "The traceback is in the log.")

    async def _leaves(self, host: AgentHost, call: Awaitable[T], what: str) -> T | None:
        """What the call answers when it is cancelled; None where it leaves by its end or by raising."""
        grace = self._description().card.stop_grace
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0)
        host.cancel()
        await asyncio.wait({task}, timeout=grace)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            self._broken(
                f"{what} did not leave within its stop_grace of {grace:g} s once ctx.cancelled was set",
                "Watch ctx.cancelled in what takes long, or let stop_grace be longer.",
            )
        if isinstance(task.exception(), AgentError):
            return None  # its way to obey
        return await self._answer(task, what)

    def _broken(self, what: str, remedy: str) -> NoReturn:
        described = self._described
        where = f" (isolation {described.card.isolation})" if described else ""
        raise ContractBroken(f"{self._agent.__qualname__}{where}: {what}. {remedy}".rstrip()) from None


def _plan(version: int, draft: PlanDraft) -> Plan:
    return Plan(version, f"hash of version {version}", draft.summary, tuple(draft.steps))


def _stored(checkpoint: JSON) -> JSON:
    """The checkpoint as PostgreSQL gives it back."""
    return orjson.loads(encode_text(checkpoint))
