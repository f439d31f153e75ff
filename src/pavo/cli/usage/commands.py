"""`pavo usage`: what models' calls took. `pavo budget`: what bounds them."""

import uuid
from typing import Annotated, Final, TypeAlias

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console
from pavo.cli.parameters import OrganisationId, Url
from pavo.cli.table import table
from pavo.cli.task.reference import TaskOption
from pavo.cli.usage.client import UsageClient
from pavo.usage.domain import By, Period
from pavo.usage.schemas import BudgetList, BudgetOut, UsageOut, UsageSums

JobOption: TypeAlias = Annotated[
    str | None, Parameter(name="--job", help="A coding job: its id, the beginning or end of it, or: last.")
]
budget_app = App(name="budget", help="Budgets of an organisation and its tasks.", help_epilogue=epilogue("budget"))
COLUMNS: Final = ("CALLS", "IN", "OUT", "CACHED", "COST", "TIME", "CHECKPOINTS", "TOOLS", "WORKED")


def usage(
    *,
    by: By = "day",
    since: str | None = None,
    until: str | None = None,
    task: TaskOption = None,
    job: JobOption = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show what models' calls took: tokens, cost and time; and what attempts did: checkpoints, calls of tools, time.

    Args:
        by: what is summed: day, task, agent, user, model, organisation, or each call.
        since: from when on: 2026-11-26, or how long ago: 24h, 7d. Default: 30d; of a task all of it.
        until: until when, likewise.
    """
    with UsageClient.from_environment(url) as client:
        chosen = {"task_id": client.run(task, job), "organisation_id": org, "since": since, "until": until}
        found = client.usage(by=by, **chosen)
    Printer(output).show(found, lambda: _print_usage(found, by))


def _print_usage(found: UsageOut, by: str) -> None:
    rows = [(each.label or each.key or "(gone)", *_row(each, found.currency)) for each in found.items]
    if len(rows) > 1:
        rows.append(("total", *_row(found.total, found.currency)))
    table((by.upper(), *COLUMNS), rows, nothing="No model was called in this time, and nothing was executed.")
    notes = [f"{found.total.lost} calls were cut by a crash; they count by their estimates."] * bool(found.total.lost)
    notes += [f"The price of {found.total.unpriced} calls is not known (PAVO_PRICES)."] * bool(found.total.unpriced)
    notes += [f"These are the first {len(found.items)}; the total counts all."] * found.more
    for note in notes:
        console().print(Text(note, style="dim"), soft_wrap=True)


def _row(sums: UsageSums, currency: str) -> tuple[str, ...]:
    cost = "?" if sums.unpriced == sums.calls and sums.calls else f"{_money(sums.cost)} {currency}"
    tokens = (f"{each:,}" for each in (sums.tokens_in, sums.tokens_out, sums.tokens_cached))
    work = ("" if each is None else f"{each:,}" for each in (sums.checkpoints, sums.tool_calls))
    worked = "" if sums.working_seconds is None else f"{sums.working_seconds:,.0f} s"
    return (f"{sums.calls:,}", *tokens, cost, f"{sums.seconds:,.0f} s", *work, worked)


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount == 0 or amount >= 0.01 else f"{amount:.6f}"


@budget_app.command(name="list")
def list_budgets(
    *,
    task: TaskOption = None,
    job: JobOption = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """List budgets, and what is used of them: of your organisations, or those that bound a task."""
    with UsageClient.from_environment(url) as client:
        found = client.budgets(task_id=client.run(task, job), organisation_id=org)
    Printer(output).show(found, lambda: _print_budgets(found))


def _print_budgets(found: BudgetList) -> None:
    rows = [(_whose(one), one.period, *_amounts(one), str(one.id)) for one in found.items]
    nothing = "There are no budgets. Set one: pavo budget set month --cost 100"
    table(("OF", "PERIOD", "LIMIT", "USED", "RESERVED", "ID"), rows, nothing=nothing)


def _whose(one: BudgetOut) -> str:
    return "organisation" if one.task_id is None else f"task or job {str(one.task_id)[-8:]}"


def _amounts(one: BudgetOut) -> tuple[str, str, str]:
    """Limit, used and reserved, of what is limited."""
    found = list[tuple[str, str, str]]()
    if one.cost is not None:
        limit, used, reserved = map(_money, (one.cost, one.used_cost, one.reserved_cost))
        found.append((f"{limit} {one.currency}", used, reserved))
    if one.tokens is not None:
        found.append((f"{one.tokens:,} tokens", f"{one.used_tokens:,}", f"{one.reserved_tokens:,}"))
    limits, useds, reserveds = zip(*found, strict=True)
    return ", ".join(limits), "; ".join(useds), "; ".join(reserveds)


@budget_app.command(name="set")
def set_budget(
    period: Period,
    /,
    *,
    cost: float | None = None,
    tokens: int | None = None,
    unpriced: bool = False,
    task: TaskOption = None,
    job: JobOption = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Set the budget of a task, of a coding job, or, for owners, of an organisation: in place of that of this period.

    Args:
        period: day, month (of UTC), or life, which has no end.
        cost: at most so much money, in the currency of the price table.
        tokens: at most so many, input and output together.
        unpriced: calls of models whose price is not known count nothing against the cost; otherwise people are asked.
    """
    with UsageClient.from_environment(url) as client:
        whose = {"task_id": client.run(task, job), "organisation_id": org}
        found = client.set_budget(period=period, cost=cost, tokens=tokens, unpriced_allowed=unpriced, **whose)
    limit, used, _ = _amounts(found)
    Printer(output).show(found, f"✓ {_whose(found)}, {found.period}: {limit}; used: {used}")


@budget_app.command(name="remove")
def remove_budget(budget: uuid.UUID, /, *, url: Url = None, output: Output = "text") -> None:
    """Remove a budget: nothing bounds its calls any more.

    Args:
        budget: its id, as `pavo budget list` shows it.
    """
    with UsageClient.from_environment(url) as client:
        client.remove_budget(budget)
    Printer(output).show({"removed": str(budget)}, "✓ The budget is removed.")


give_examples(budget_app, "budget")
