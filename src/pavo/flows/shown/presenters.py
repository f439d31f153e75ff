"""Runs as the wire has them."""

from dataclasses import asdict

from pavo.flows.ledger.listing import RunLine
from pavo.flows.shown.schemas import FlowRunOut, FlowRunPage, FlowStepOut, ListedFlowRun
from pavo.flows.shown.views import ShownRun
from pavo.kit.pagination import Page


def run_out(found: ShownRun) -> FlowRunOut:
    """A run with its steps."""
    steps = [FlowStepOut.model_validate(each) for each in found.steps]
    told = {"inputs": found.inputs, "result": found.result, "steps": steps, "whole": found.whole}
    return FlowRunOut.model_validate({**asdict(found.line), **told})


def listed_run(found: RunLine) -> ListedFlowRun:
    """A run without them."""
    return ListedFlowRun.model_validate(found)


def run_page(found: Page[RunLine]) -> FlowRunPage:
    """A page of runs."""
    return FlowRunPage(items=[listed_run(each) for each in found.items], next_cursor=found.next_cursor)
