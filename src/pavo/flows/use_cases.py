"""All use cases of flows, as `wiring.served` builds them and endpoints find them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pavo.config import Settings
from pavo.flows.awaited.gates import FlowGates
from pavo.flows.checking.checker import FlowChecker
from pavo.flows.doctoring.doctor import FlowDoctor
from pavo.flows.generated.asking import CALL_SECONDS, TRIES
from pavo.flows.generated.examiner import ProposalExaminer
from pavo.flows.generated.service import FlowGenerator
from pavo.flows.published.service import PublishedFlows
from pavo.flows.published.starting import RunStarts
from pavo.flows.runs import Hurry, RunService
from pavo.flows.shown.views import RunViews
from pavo.kit.sql import Database
from pavo.llm.gateway.wiring import model_calls


@dataclass(frozen=True, slots=True)
class FlowUseCases:
    """What people and programs do with flows."""

    checker: FlowChecker
    published: PublishedFlows
    runs: RunService
    gates: FlowGates
    starts: RunStarts
    views: RunViews
    generator: FlowGenerator
    doctor: FlowDoctor | None = None
    """Of an API."""


def flow_use_cases(
    database: Database, settings: Settings, closing: AsyncExitStack, hurry: Hurry | None = None
) -> FlowUseCases:
    """All of them, on one database and the running event loop.

    Args:
        hurry: see `RunService`.
    """
    checker = FlowChecker()
    closing.push_async_callback(checker.close)
    published, runs = PublishedFlows(database, checker), RunService(database, hurry)
    generator = _generator(database, settings, closing, published)
    starts = RunStarts(published, runs)
    return FlowUseCases(checker, published, runs, FlowGates(database), starts, RunViews(database), generator)


def _generator(
    database: Database, settings: Settings, closing: AsyncExitStack, published: PublishedFlows
) -> FlowGenerator:
    """Somebody waits for it, so calls of models are given up sooner than those of agents."""
    bounds = {"seconds": min(settings.llm.seconds, CALL_SECONDS), "tries": min(settings.llm.tries, TRIES)}
    models = model_calls(database, settings.model_copy(update={"llm": settings.llm.model_copy(update=bounds)}))
    closing.push_async_callback(models.close)
    examiner = ProposalExaminer()
    closing.push_async_callback(examiner.close)
    return FlowGenerator(database, models, examiner, published)
