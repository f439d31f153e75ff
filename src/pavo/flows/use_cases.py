"""All use cases of flows, as `wiring.served` builds them and endpoints find them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pavo.flows.checking.checker import FlowChecker
from pavo.flows.published.service import PublishedFlows
from pavo.flows.published.starting import RunStarts
from pavo.flows.runs import Hurry, RunService
from pavo.flows.shown.views import RunViews
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class FlowUseCases:
    """What people and programs do with flows."""

    checker: FlowChecker
    published: PublishedFlows
    runs: RunService
    starts: RunStarts
    views: RunViews


def flow_use_cases(database: Database, closing: AsyncExitStack, hurry: Hurry | None = None) -> FlowUseCases:
    """All of them, on one database and the running event loop.

    Args:
        hurry: see `RunService`.
    """
    checker = FlowChecker()
    closing.push_async_callback(checker.close)
    published, runs = PublishedFlows(database, checker), RunService(database, hurry)
    return FlowUseCases(checker, published, runs, RunStarts(published, runs), RunViews(database))
