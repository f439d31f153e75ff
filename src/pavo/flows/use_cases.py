"""All use cases of flows, as the composition root builds them and endpoints find them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pavo.flows.checking.checker import FlowChecker
from pavo.flows.published.service import PublishedFlows
from pavo.flows.runs import Hurry, RunService
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class FlowUseCases:
    """What people and programs do with flows."""

    checker: FlowChecker
    published: PublishedFlows
    runs: RunService


def flow_use_cases(database: Database, closing: AsyncExitStack, hurry: Hurry | None = None) -> FlowUseCases:
    """All of them, on one database and the running event loop.

    Args:
        hurry: see `RunService`.
    """
    checker = FlowChecker()
    closing.push_async_callback(checker.close)
    return FlowUseCases(checker, PublishedFlows(database, checker), RunService(database, hurry))
