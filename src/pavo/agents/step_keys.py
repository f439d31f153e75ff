"""The keys under which agents make what they do outside of Pavo idempotent, and how a context follows its work.

A key is made of what is the same in every attempt: the task's id, the plan's version (an accepted version never
changes), and the number of the checkpoint to come. Attempts, processes and moments are no part of it.
"""

import uuid

from pavo.agents.contract import AgentContext


def plan_key(task_id: uuid.UUID, version: int) -> str:
    """Of making this version of the plan, by `plan` or `revise`."""
    return f"{task_id}/v{version}/plan"


def checkpoint_key(task_id: uuid.UUID, version: int, number: int) -> str:
    """Of the work that ends with the checkpoint of this number, under this version of the plan."""
    return f"{task_id}/v{version}/{number}"


def report_key(task_id: uuid.UUID, version: int) -> str:
    """Of writing the report on this version of the plan."""
    return f"{task_id}/v{version}/report"


def follow(ctx: AgentContext, *, key: str, steps: int | None = None) -> None:
    """Have the context say what is under way. For the agent it is read-only; its host alone moves it."""
    object.__setattr__(ctx, "step_key", key)
    if steps is not None:
        object.__setattr__(ctx, "steps", steps)
