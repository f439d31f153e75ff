"""The keys under which agents make what they do outside of Pavo idempotent, and how a context follows its work.

A key is made of what is the same in every attempt: the task's id, how often its prompt was changed, the plan's version
(an accepted version never changes), and the number of the checkpoint to come. Attempts, processes and moments are no
part of it. A plan that was never finished leaves no version behind, so the version alone does not tell apart what was
planned for the prompt before an edit.
"""

import uuid

from pavo.agents.contract import AgentContext


def plan_key(task_id: uuid.UUID, edits: int, version: int) -> str:
    """Of making this version of the plan, by `plan` or `revise`."""
    return f"{_of_plan(task_id, edits, version)}/plan"


def checkpoint_key(task_id: uuid.UUID, edits: int, version: int, number: int) -> str:
    """Of the work that ends with the checkpoint of this number, under this version of the plan."""
    return f"{_of_plan(task_id, edits, version)}/{number}"


def report_key(task_id: uuid.UUID, edits: int, version: int) -> str:
    """Of writing the report on this version of the plan."""
    return f"{_of_plan(task_id, edits, version)}/report"


def _of_plan(task_id: uuid.UUID, edits: int, version: int) -> str:
    # Only where there are any: the keys of tasks that were never edited are known outside since before they counted.
    return f"{task_id}/e{edits}/v{version}" if edits else f"{task_id}/v{version}"


def follow(ctx: AgentContext, *, key: str, steps: int | None = None) -> None:
    """Have the context say what is under way. For the agent it is read-only; its host alone moves it."""
    object.__setattr__(ctx, "step_key", key)
    if steps is not None:
        object.__setattr__(ctx, "steps", steps)
