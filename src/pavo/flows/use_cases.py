"""All use cases of flows, as the composition root builds them and endpoints find them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pavo.flows.checking.checker import FlowChecker
from pavo.flows.published.service import PublishedFlows
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class FlowUseCases:
    """What people and programs do with flows."""

    checker: FlowChecker
    published: PublishedFlows


def flow_use_cases(database: Database, closing: AsyncExitStack) -> FlowUseCases:
    """All of them, on one database and the running event loop."""
    checker = FlowChecker()
    closing.push_async_callback(checker.close)
    return FlowUseCases(checker, PublishedFlows(database, checker))
