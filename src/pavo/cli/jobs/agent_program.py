"""`pavo agent run` and `pavo agent doctor`: this machine does an organisation's coding jobs."""

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.text import Text

from pavo.cli.output import Output, Printer, console, say
from pavo.errors import ConfigurationError
from pavo.kit.extras import require
from pavo.observe.printable import printable_line

if TYPE_CHECKING:
    from pavo.remote.settings import AgentSettings

Gateway = Annotated[
    str | None,
    Parameter(name="--url", help="The gateway, as https://HOST:PORT; default: PAVO_AGENT_URL."),
]
Token = Annotated[
    str | None,
    Parameter(name="--token", help="From pavo agent token create; better in PAVO_AGENT_TOKEN or in a file."),
]
TokenFile = Annotated[Path | None, Parameter(name="--token-file", help="A file that holds the token alone.")]
Name = Annotated[str, Parameter(name="--name", help="Of this agent in its organisation; default: the machine's.")]
Labels = Annotated[str, Parameter(name="--labels", help="What jobs may ask for, with commas: gpu,linux.")]
Capacity = Annotated[int, Parameter(name="--capacity", help="Jobs at once.")]
State = Annotated[
    Path | None,
    Parameter(name="--state", help="Its folder: journal, logs, worktrees; default: ~/.local/state/pavo-agent."),
]
Authority = Annotated[
    Path | None, Parameter(name="--ca", help="PEM of the authority that alone is trusted; default: the system's.")
]
Profiles = Annotated[
    Path | None, Parameter(name="--profiles", help="A folder of more profiles of coding programs (*.toml).")
]


def run(
    *,
    url: Gateway = None,
    token: Token = None,
    token_file: TokenFile = None,
    name: Name = "",
    labels: Labels = "",
    capacity: Capacity = 1,
    state: State = None,
    ca: Authority = None,
    profiles: Profiles = None,
    quota_gb: Annotated[
        float, Parameter(name="--quota-gb", help="For worktrees and repositories, in GB; old ones go first.")
    ] = 20.0,
) -> None:
    """Do coding jobs on this machine, until Ctrl-C or SIGTERM: jobs at work are finished; a second one ends at once."""
    settings = _settings(url, token, token_file, name, labels, capacity, state, ca, profiles)
    if not 0.1 <= quota_gb <= 100_000:
        raise ConfigurationError(f"A quota of {quota_gb} GB cannot be.", field="--quota-gb", remedy="Give 0.1 or more.")
    from pavo.remote.composition import run_agent
    from pavo.remote.workspaces import WorkspaceSettings

    form = "%(asctime)s %(levelname)-7s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
    run_agent(settings, WorkspaceSettings(settings.state / "work", quota_bytes=int(quota_gb * 1e9)))


def doctor(
    *,
    url: Gateway = None,
    token: Token = None,
    token_file: TokenFile = None,
    name: Name = "",
    state: State = None,
    ca: Authority = None,
    profiles: Profiles = None,
    output: Output = "text",
) -> int:
    """Check this machine and the way to the gateway; exit code 1 when something is wrong."""
    settings = _settings(url, token, token_file, name, "", 1, state, ca, profiles)
    from pavo.remote.doctor import look
    from pavo.remote.programs.profile import load_profiles

    found = look(settings, load_profiles(settings.profiles))
    ok = all(each.ok for each in found)
    shown = [asdict(each) for each in found]
    Printer(output).show({"checks": shown, "ok": ok}, lambda: _print(shown))
    return 0 if ok else 1


def _print(found: "list[dict[str, str | bool]]") -> None:
    for each in found:
        mark = ("✗", "red") if not each["ok"] else ("✓", "green") if each["found"] else ("–", "dim")
        line = f" {each['name']:<16}{printable_line(str(each['detail']))}"
        console().print(Text.assemble(mark, line), soft_wrap=True)
        if each["remedy"]:
            say(f"  → {each['remedy']}")


def _settings(
    url: str | None,
    token: str | None,
    token_file: Path | None,
    name: str,
    labels: str,
    capacity: int,
    state: Path | None,
    ca: Path | None,
    profiles: Path | None,
) -> "AgentSettings":
    require("The agent program", "agent")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # each failed handshake is told once, with its remedy
    from pavo.remote.settings import AgentSettings, default_state

    where = url or os.environ.get("PAVO_AGENT_URL", "")
    if not where:
        remedy = "Give the gateway as https://HOST:PORT, by --url or PAVO_AGENT_URL."
        raise ConfigurationError("Nobody has said where the gateway is.", field="--url", remedy=remedy)
    return AgentSettings.read(
        url=where,
        token=token or _from_file(token_file) or os.environ.get("PAVO_AGENT_TOKEN", ""),
        state=state or default_state(),
        name=name,
        labels=labels,
        capacity=capacity,
        ca=ca,
        profiles=profiles,
    )


def _from_file(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        remedy = "Name a file that this user can read."
        raise ConfigurationError(f"The token cannot be read: {error}.", field="--token-file", remedy=remedy) from error
