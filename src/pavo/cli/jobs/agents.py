"""`pavo agent`: the agents on other machines that do an organisation's coding jobs."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from pavo.cli import exit_codes
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.agent_tokens import token_app
from pavo.cli.jobs.client import OrganisationClient
from pavo.cli.jobs.moments import local_time
from pavo.cli.output import Output, Printer, fields
from pavo.cli.parameters import Approved, Limit, OrganisationId, Url
from pavo.cli.table import Listing
from pavo.jobs.agents.schemas import RemoteAgentOut

agent_app = App(name="agent", help="Agents on other machines that do coding jobs.", help_epilogue=epilogue("agent"))
agent_app.command(token_app)
for _name, _summary in (
    ("run", "Do coding jobs on this machine."),
    ("doctor", "Check this machine, and the way to the gateway."),
):
    agent_app.command(
        f"pavo.cli.jobs.agent_program:{_name}", name=_name, help=_summary, help_epilogue=epilogue(f"agent {_name}")
    )

AgentName = Annotated[str, Parameter(name="AGENT", help="The agent's name, as pavo agent list shows it.")]


@agent_app.command(name="list")
def list_agents(*, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """List the agents that serve an organisation: its own, then the operator's."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.agents()
    _AGENTS.show(output, found, lambda one: one, limit)


_AGENTS: Final[Listing[RemoteAgentOut]] = Listing(
    "agents",
    {
        "NAME": lambda one: one.name,
        "STATE": lambda one: _state(one),
        "JOBS": lambda one: f"{one.working}/{one.capacity}",
        "PROGRAMS": lambda one: ", ".join(one.programs),
        "LABELS": lambda one: ", ".join(one.labels),
        "VERSION": lambda one: one.version,
    },
    nothing="There are no agents. Make a token: pavo agent token create; then, on their machine: pavo agent run",
    command="pavo agent list",
)


def _state(one: RemoteAgentOut) -> str:
    return f"{one.state}, rests until {local_time(one.rests_until)}" if one.rests_until else one.state


@agent_app.command(name="show")
def show_agent(agent: AgentName, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Show an agent, and the jobs that it is at."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.agent(agent)
    Printer(output).show(found, lambda: _print_agent(found))


def _print_agent(found: RemoteAgentOut) -> None:
    fields(
        {
            "id": found.id,
            "name": f"{found.name}{', of the operator' if found.shared else ''}",
            "state": _state(found),
            **({"rests for": found.rests_for} if found.rests_until else {}),
            "jobs": f"{found.working} of {found.capacity}",
            **{f"job {index}": f"{each.id} {each.stage} {each.title}" for index, each in enumerate(found.jobs, 1)},
            "programs": ", ".join(found.programs) or "none",
            "labels": ", ".join(found.labels) or "none",
            "sandbox": found.sandbox or "none",
            "version": found.version or "not known",
            "connected": local_time(found.connected_at) or "never",
            "seen": local_time(found.seen_at) or "never",
        }
    )


@agent_app.command(name="drain")
def drain_agent(
    agent: AgentName,
    /,
    *,
    undo: Annotated[bool, Parameter(help="Have it take jobs again.", negative="")] = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Have an agent finish what it is at, and take nothing new."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.drain(agent, wanted=not undo)
    at_it = "1 job" if found.working == 1 else f"{found.working} jobs"
    told = f"finishes {at_it}, and takes nothing new" if found.draining else "takes jobs"
    if undo and found.draining:
        told = "takes nothing new, for its program is about to end; started again it takes jobs"
    Printer(output).show(found, f"✓ {found.name} {told}.")


@agent_app.command(name="rm")
def remove_agent(
    agent: AgentName,
    /,
    *,
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Forget an agent that is gone for good; one that connects again is a new one."""
    with OrganisationClient.from_environment(url, org) as client:
        if not confirm(f"Forget the agent {agent}?", approved=yes):
            return exit_codes.FAILED
        client.remove_agent(agent)
    Printer(output).show({"removed": agent}, f"✓ {agent} is removed.")
    return exit_codes.DONE


give_examples(agent_app, "agent")
