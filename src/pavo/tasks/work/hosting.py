"""Opening the host of a task's agent: from the task's row to a running agent."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pavo.accounts.domain import name_of
from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.agents.calling.functions import NoLedger
from pavo.agents.calling.request import NoTools
from pavo.agents.confinement.confining import Confining
from pavo.agents.contract import AgentContext, Hit, TaskUser
from pavo.agents.delegating.delegation import Children, NoChildren
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.agent_loop import AtWork, at_work
from pavo.agents.hosts.code_watch import CodeWatch
from pavo.agents.hosts.open_host import open_host
from pavo.agents.hosts.starting import ChildStarter
from pavo.agents.options import completed_options
from pavo.agents.output import send_output_to
from pavo.agents.registry import AgentCard, AgentRegistry
from pavo.agents.signing.keys import SigningKeys
from pavo.agents.step_keys import plan_key
from pavo.artifacts.reading import ArtifactReader
from pavo.artifacts.recording import ArtifactOwner
from pavo.artifacts.wiring import Keeping
from pavo.config import SealingSettings
from pavo.corpus.service import CorpusService
from pavo.errors import AgentRefused, InvalidInput
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.observe.hidden import Hidden, hide_in_here
from pavo.tasks.gateway.relaying import WorkerGateways
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.sql.gateway_tokens import PLAN
from pavo.tasks.work.context.asked_models import TaskModels, model_subject
from pavo.tasks.work.context.asked_people import TaskPeople, gate_subject
from pavo.tasks.work.context.called_tools import DescribedTools, TaskTools, ToolCaller
from pavo.tasks.work.context.delegated import TaskChildren, delegation_subject
from pavo.tasks.work.context.deltas import TaskDeltas, WorkerDeltas
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.context.kept_artifacts import keeper_of
from pavo.tasks.work.context.opened_gateway import TaskGateway
from pavo.tasks.work.context.reads import TaskCorpus, TaskInbox, TaskSecrets, TaskTranscript
from pavo.tasks.work.context.restored_files import restore_files
from pavo.tasks.work.context.shown_answers import ShownAnswers
from pavo.tasks.work.context.tokens_without_step import TokensWithoutStep
from pavo.tasks.work.context.tool_files import ToolFiles
from pavo.tasks.work.interruption import StepLimit, stricter
from pavo.tasks.work.log_writer import LogWriter
from pavo.timeline.publish import Publisher
from pavo.tools.builtin.commands import CommandRunner
from pavo.tools.builtin.services import TaskServices
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.wiring import WorkerTools
from pavo.transcripts.domain import Transcript
from pavo.usage.domain import Payer


class Hosting:
    """What is needed to run agents for tasks."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        registry: AgentRegistry,
        corpus: CorpusService,
        limits: HostLimits,
        starter: ChildStarter | None = None,
        log_writer: LogWriter | None = None,
        code_watch: CodeWatch | None = None,
        confining: Confining | None = None,
        tools: WorkerTools | None = None,
        word: OperatorsWord | None = None,
        secrets: SecretService | None = None,
        keeping: Keeping | None = None,
        models: ModelCalls | None = None,
        gateway_url: str = "",
        keys: SigningKeys | None = None,
        gateways: WorkerGateways | None = None,
    ) -> None:
        self.database = database
        self.publisher = publisher
        self.deltas = WorkerDeltas(publisher)
        """What agents say before it is recorded."""
        self._registry = registry
        self._corpus = corpus
        self._limits = limits
        self._starter = starter
        self._log_writer = log_writer
        self._code_watch = code_watch
        self._confining = confining
        self._tools = tools
        self._word = word or OperatorsWord()
        self._secrets = secrets or SecretService(database, KeyRing.of(SealingSettings()))
        self._keeping = keeping
        self._models = models
        self._gateway_url = gateway_url
        self._keys = keys or SigningKeys(())
        self._gateways = gateways

    def grace(self, agent_type: str) -> float:
        """Seconds that a step in flight gets after a stop."""
        return self._card(agent_type).stop_grace

    def step_limit(self, task: Assignment, host: AgentHost) -> StepLimit | None:
        """How long a step of it may take; None: without limit."""
        return stricter(self._card(task.agent_type).step_seconds, task.step_seconds, host.tell_stack)

    def wants_context(self, agent_type: str) -> bool:
        """Whether the corpus is searched before planning."""
        return self._card(agent_type).wants_context

    def _card(self, agent_type: str) -> AgentCard:
        """The agent's description; that the worker has it was seen when the attempt was admitted."""
        try:
            return self._registry.card(agent_type)
        except InvalidInput as error:
            raise AgentRefused(
                f"This worker cannot run the task: {error.detail}",
                remedy="Install the agent's package on every worker, then resume the task.",
            ) from error

    async def gather(self, task: Assignment) -> Sequence[Hit]:
        """What the organisation's corpus has for the task's title and prompt, best first."""
        return await TaskCorpus(self._corpus, task.organisation_id).search(f"{task.title}\n{task.prompt}")

    async def open(
        self,
        task: Assignment,
        *,
        cancelled: asyncio.Event,
        attempt: int,
        version: int,
        held: HeldEpoch | None = None,
        steps: int = 0,
        context: Sequence[Hit] = (),
    ) -> AgentHost:
        """Host the task's agent, to make or work off this version of the plan; the caller closes it.

        Args:
            held: where it is to call tools and to keep files.
        """
        card = self._card(task.agent_type)
        hidden = self._log_to(task, attempt)
        if held is not None:
            await self._restore(task)
        deltas = self.deltas.begin(task.id, attempt)
        ctx = AgentContext(
            task_id=task.id,
            organisation_id=task.organisation_id,
            title=task.title,
            prompt=task.prompt,
            options=completed_options(card.options_schema, task.agent_options),
            context=context,
            cancelled=cancelled,
            steps=steps,
            user=TaskUser(task.user_id, task.user_email, name_of(task.user_email)),
            attempt=attempt,
            step_key=plan_key(task.id, task.edits, version),  # until the host is told to do something else
            edits=task.edits,
            secrets=TaskSecrets(self._secrets, task.organisation_id, card.secrets, hidden),
            signatures=self._keys.of(task.id, card.name),
            **self._reached(task, version, held, cancelled, deltas),
            **self._models_of(task, version, held, attempt, cancelled, deltas, steps),
        )
        return self._host(card, ctx)

    def _host(self, card: AgentCard, ctx: AgentContext) -> AgentHost:
        if card.isolation == "worker":
            label = f"The agent {card.name!r} of task {ctx.task_id}"
            at_work.set(AtWork(str(ctx.task_id), label, card.silence_seconds))
        host = open_host(card, ctx, self._limits, self._starter, self._confining)
        return self._code_watch.over(host, card.code) if self._code_watch else host

    def _log_to(self, task: Assignment, attempt: int) -> Hidden:
        hide_in_here(hidden := Hidden())
        if self._log_writer is not None:
            send_output_to(self._log_writer.sink(task.id, attempt))
        return hidden

    def _reached(
        self,
        task: Assignment,
        version: int,
        held: HeldEpoch | None,
        cancelled: asyncio.Event,
        deltas: TaskDeltas,
    ) -> Mapping[str, Any]:
        """What its agent reaches through the context, by the context's members."""
        owner = ArtifactOwner(task.id, task.organisation_id)
        return {
            "corpus": TaskCorpus(self._corpus, task.organisation_id),
            "inbox": TaskInbox(self.database, task.id),
            "people": TaskPeople(self.database, task, version),
            "children": self._children(task, version, held),
            **self._calls(task, version, held, owner, cancelled),
            "emitter": deltas,
            "transcript": Transcript(TaskTranscript(self.database, task.id)),
            "artifacts": Artifacts(keeper_of(self.database, self.publisher, self._keeping, owner, held)),
        }

    def _children(self, task: Assignment, version: int, held: HeldEpoch | None) -> Children:
        if held is None:
            return NoChildren()
        subject = delegation_subject(task, version)
        return TaskChildren(self.database, self.publisher, self._registry, subject, held)

    def _calls(
        self,
        task: Assignment,
        version: int,
        held: HeldEpoch | None,
        owner: ArtifactOwner,
        cancelled: asyncio.Event,
    ) -> Mapping[str, Any]:
        """Members of the context: what it may call."""
        if self._tools is None:
            return {"tools": NoTools(), "ledger": NoLedger()}
        if held is None:
            return {"tools": DescribedTools(self._tools.registry), "ledger": NoLedger()}
        files = ToolFiles(self.database, self._keeping, self._confining, owner)
        caller = ToolCaller(gate_subject(task, version), task.agent_type, held)
        reader = None if self._keeping is None else ArtifactReader(self.database, self._keeping.store, owner)
        commands = CommandRunner(self._confining, self._tools.commands, task.id, cancelled)
        corpus = TaskCorpus(self._corpus, task.organisation_id)
        services = TaskServices(corpus, self._tools.web, reader, commands)
        calls = TaskTools(self.database, self.publisher, self._tools.registry, caller, self._word, services, files)
        return {"tools": calls, "ledger": calls}

    def _models_of(
        self,
        task: Assignment,
        version: int,
        held: HeldEpoch | None,
        attempt: int,
        cancelled: asyncio.Event,
        deltas: TaskDeltas,
        steps: int,
    ) -> dict[str, Any]:
        """What an agent asks models by; one that plans holds no lease, and has an epoch too."""
        if self._models is None:
            return {}
        subject, epoch = model_subject(task, version), held or HeldEpoch(attempt)
        people = None if held is None else TaskPeople(self.database, task, version)
        guard = TokensWithoutStep(self.database, task, steps, people, self._models.step_tokens)
        place, payer = PLAN if held is None else None, Payer(gate_subject(task, version), task.user_id, task.agent_type)
        shown = ShownAnswers(deltas.show)
        hear = None if self._gateways is None else partial(self._gateways.hear, shown)
        return {
            "models": TaskModels(self._models, subject, epoch, cancelled, payer, shown, guard),
            "gateways": TaskGateway(self.database, self._gateway_url, subject, epoch, place, hear),
        }

    async def _restore(self, task: Assignment) -> None:
        """What tools wrote into its workspace, before its agent runs."""
        if self._keeping is not None and self._confining is not None:
            owner = ArtifactOwner(task.id, task.organisation_id)
            await restore_files(self.database, self._keeping, self._confining, owner)
