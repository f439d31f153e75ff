"""`pavo policy`: which calls of tools run by themselves, are asked about, or never run."""

import json
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.api_client import ApiClient
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import Url
from pavo.cli.table import table
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskOption, resolve
from pavo.errors import InvalidInput, NotFound
from pavo.observe.printable import printable_line
from pavo.tools.policies.schemas import DecisionName, EffectName, PolicyList, PolicyOut

policy_app = App(
    name="policy",
    help="Which calls of tools run by themselves, are asked about, or never run.",
    help_epilogue=epilogue("policy"),
)
COLUMNS = ("DECISION", "TOOL", "EFFECT", "AGENT", "ARGUMENTS", "ID", "NOTE")
SHORTEST: Final = 4
"""Characters of an id that mean one."""

OrganisationId = Annotated[
    uuid.UUID | None, Parameter(name="--org", help="The organisation's id. Default: your own.", show_default=False)
]


@policy_app.command(name="list")
def list_policies(
    *, task: TaskOption = None, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """List an organisation's policies, or those that came with a task, the oldest first; of those that are about a call
    the most exact decides."""
    with ApiClient.from_environment(url) as api:
        if task is None:
            found = _policies(api, org)
        else:
            chosen = {"task_id": str(resolve(TaskClient(api), task).id)}
            found = api.ask(PolicyList, "GET", "/api/policies", params=chosen)
    Printer(output).show(found, lambda: _print(found.items))


def _policies(api: ApiClient, org: uuid.UUID | None) -> PolicyList:
    chosen = {} if org is None else {"organisation_id": str(org)}
    return api.ask(PolicyList, "GET", "/api/policies", params=chosen)


def _print(found: Sequence[PolicyOut]) -> None:
    rows = [
        (each.decision, each.tool, each.effect or "", each.agent or "", _arguments(each), str(each.id), each.note)
        for each in found
    ]
    table(COLUMNS, rows, nothing="There are no policies: see pavo policy add --help.")


def _arguments(policy: PolicyOut) -> str:
    return "" if policy.arguments is None else json.dumps(policy.arguments, ensure_ascii=False)


@policy_app.command(name="add")
def add_policy(
    decision: DecisionName,
    tool: str = "*",
    /,
    *,
    effect: EffectName | None = None,
    agent: str | None = None,
    argument: Annotated[Sequence[str], Parameter(negative="", show_default=False)] = (),
    arguments: str | None = None,
    note: str = "",
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Add a policy. It holds for every call that begins from now on, and whoever is asked reads its note.

    Parameters
    ----------
    decision
        allow, ask or deny.
    tool
        The tool, or several: * stands for any characters, ? for one.
    effect
        About tools of this effect alone.
    agent
        Of this agent's tasks alone.
    argument
        NAME=PATTERN: about calls alone whose argument NAME is a text in which the pattern (RE2) is found.
    arguments
        The same for anything: a JSON Schema that the arguments have to fit.
    note
        Why; people read it who are asked.
    """
    schema = _schema(argument, arguments)
    new = {"decision": decision, "tool": tool, "effect": effect, "agent": agent, "arguments": schema, "note": note}
    if org is not None:
        new["organisation_id"] = str(org)
    with ApiClient.from_environment(url) as api:
        added = api.ask(PolicyOut, "POST", "/api/policies", json=new)
    Printer(output).show(added, lambda: _print_added(added))


def _schema(pairs: Sequence[str], given: str | None) -> dict[str, Any] | None:
    if given is not None and pairs:
        raise InvalidInput("Give --argument or --arguments.", field="--arguments", remedy="One schema says all of it.")
    if given is not None:
        try:
            return json.loads(given)
        except ValueError as error:
            remedy = "Give a JSON Schema in quotes."
            raise InvalidInput(f"This is no JSON: {error}.", field="--arguments", remedy=remedy) from error
    if not pairs:
        return None
    named: dict[str, Any] = {}
    for pair in pairs:
        name, equals, pattern = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"{pair!r} is no pattern.", field="--argument", remedy="Write it as NAME=PATTERN.")
        named[name.strip()] = {"type": "string", "pattern": pattern}
    return {"type": "object", "properties": named, "required": list(named)}


def _print_added(added: PolicyOut) -> None:
    verb = {"allow": "runs", "ask": "waits for an approval", "deny": "never runs"}[added.decision]
    console().print(Text.assemble(("✓ ", "green"), f"What {printable_line(added.tool)} means {verb}."))
    say(f"  {added.id}")


@policy_app.command(name="remove")
def remove_policy(policy: str, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Remove a policy.

    Parameters
    ----------
    policy
        Its id, or the beginning or end of it.
    """
    with ApiClient.from_environment(url) as api:
        found = _named(_policies(api, org).items, policy.strip().lower())
        api.remove(f"/api/policies/{found.id}")
    Printer(output).show(found, f"✓ Removed: {found.decision} {printable_line(found.tool)}")


def _named(found: Sequence[PolicyOut], ref: str) -> PolicyOut:
    if len(ref) < SHORTEST:
        raise InvalidInput(f"{ref!r} is too short for an id.", field="POLICY", remedy="Give 4 characters at least.")
    meant = [each for each in found if str(each.id).startswith(ref) or str(each.id).endswith(ref)]
    if len(meant) > 1:
        raise InvalidInput(f"{ref!r} may be {len(meant)} policies.", field="POLICY", remedy="Give the id in full.")
    if not meant:
        raise NotFound(f"There is no policy {ref!r}.", field="POLICY", remedy="See: pavo policy list")
    return meant[0]


give_examples(policy_app, "policy")
