"""`pavo run`: a task from its title to its report."""

import uuid
from contextlib import suppress
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pavo.cli.exit_codes import INTERRUPTED
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.task import render, review
from pavo.cli.task.client import TaskClient
from pavo.cli.task.follower import TaskFollower
from pavo.cli.task.outcome import leaving_it_running, show_outcome
from pavo.cli.task.run_options import (
    AgentOptions,
    Budget,
    BudgetTokens,
    Policies,
    StepSeconds,
    budgets_of,
    options_of,
    policies_of,
    prompt_of,
)
from pavo.errors import InvalidInput
from pavo.tasks.domain import WAIT_RFC
from pavo.tasks.schemas import TaskCreate


def run(
    title: Annotated[str | None, Parameter(help="What the task is called; on a terminal you are asked for it.")] = None,
    *,
    prompt: Annotated[
        str | None,
        Parameter(
            help="What the agent is to do: text, @FILE for a file's, - for standard input's.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    agent: Annotated[str, Parameter(help="Which agent performs it: pavo agents list.")] = "intern",
    option: AgentOptions = (),
    policy: Policies = (),
    budget: Budget = None,
    budget_tokens: BudgetTokens = None,
    step_seconds: StepSeconds = None,
    accept: Annotated[bool, Parameter(help="Accept the first plan without asking.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Create a task, review its plan, watch it, read its report.

    On a terminal you are asked for a missing title and about the plan. Elsewhere, without --accept, the plan is
    printed and the command that accepts it. Ctrl-C leaves the task running.
    """
    # Not validated here: the API does it for all its users, and says what is wrong.
    given: dict[str, Any] = {"agent_options": options_of(option), "step_seconds": step_seconds}
    given |= {"policies": policies_of(policy), "budgets": budgets_of(budget, budget_tokens)}
    new = TaskCreate.model_construct(prompt=prompt_of(prompt), agent_type=agent, title=title, **given)
    if title is None:  # asked for last, when what was typed is known to be good
        new.title = _asked_title()
    out = None if Printer(output).for_programs else render.page()
    with TaskClient.from_environment(url) as tasks:
        task_id = tasks.create(new).id
        with leaving_it_running(out, task_id):
            tasks.start(task_id)
            return _live(tasks, task_id, out, accept=accept)
    return INTERRUPTED


def _asked_title() -> str:
    """The title that a person types.

    Raises:
        InvalidInput: nobody is there who could, or nothing was typed.
    """
    title = ""
    if render.interactive():
        with suppress(EOFError):
            title = render.page().input(Text("Title: ", "bold")).strip()
    if not title:
        raise InvalidInput("A task needs a title.", field="--title", remedy='Name it: pavo run "Analyze churn drivers"')
    return title


def _live(tasks: TaskClient, task_id: uuid.UUID, out: Console | None, *, accept: bool) -> int:
    """From planning to the end."""
    follower = TaskFollower(tasks, task_id, out)
    if out is not None:
        render.good(out, "Task created", str(task_id))
    view = follower.until_reviewable()
    if view.stage == WAIT_RFC:
        asking = out if render.interactive() else None
        if not review.review(tasks, follower, view, out, asking=asking, accept=accept):
            return show_outcome(tasks, tasks.get(task_id), out)
    return show_outcome(tasks, follower.until_over(), out)
