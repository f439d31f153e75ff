"""`pavo deploy`: Pavo on a target, with its plan shown before anything is done."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from pavo.cli.ask import confirm, layout_of
from pavo.cli.deploy import orchestrated
from pavo.cli.deploy.options import Chosen
from pavo.cli.deploy.plan import Planned
from pavo.cli.output import Format, Output, console, fields, people, print_json, table, tell, teller
from pavo.cli.stack import control as stack
from pavo.cli.stack import foreground
from pavo.cli.words import Lines
from pavo.deploy.local import control
from pavo.deploy.local.components.dev_server import dev_server_versions
from pavo.deploy.local.local_target import Ports
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.ports import refuse_taken, replace_taken
from pavo.deploy.local.native import native
from pavo.deploy.local.planning import plan_embedded, plan_native, settle
from pavo.deploy.local.stack import EmbeddedStack, LocalStack, make_directory, remove_data
from pavo.deploy.model import deployment
from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import StackState, read
from pavo.errors import NotFound

deploy_app = App(name="deploy", help="Run Pavo on a target: embedded, native, compose or kubernetes.")
for path, name, summary in (
    (
        "pavo.cli.deploy.backup:backup",
        "backup",
        "Back up all databases, of one moment, while everything works; and prove it.",
    ),
    ("pavo.cli.deploy.backup:restore", "restore", "Put a backup in the place of a stopped deployment's databases."),
    ("pavo.cli.deploy.upgrade:upgrade", "upgrade", "Upgrade a running deployment: schema, servers, API, workers."),
):
    deploy_app.command(path, name=name, help=summary)
START_SECONDS = 2400.0
"""A first start may build Temporal with Go."""
NOTHING = Chosen()


@deploy_app.command
def start(
    *,
    chosen: Chosen = NOTHING,
    values: tuple[Path, ...] = (),
    data_dir: Path | None = None,
    postgres_version: str | None = None,
    force_version: bool = False,
    auto_approve: bool = False,
    in_foreground: Annotated[bool, Parameter(name="--foreground", negative=())] = False,
    dry_run: bool = False,
    output: Output = "text",
) -> int:
    """Start Pavo on a target, after showing what that means. What is chosen is remembered for the next start.

    With -o json the document of `pavo deploy status -o json`, once everything is ready; of a dry run its plan.

    Args:
        values: kubernetes: files with values for the chart, the last one wins.
        data_dir: where everything is kept.
        postgres_version: refuse a PostgreSQL of another version; without it is detected. With compose: its major.
        force_version: go on with versions that are known bad; remembered in the state.
        auto_approve: do not ask.
        in_foreground: do not return; Ctrl-C drains and stops.
        dry_run: show the plan and do nothing; with compose and kubernetes, write their files.
    """
    layout = layout_of(data_dir)
    wanted = chosen.over(deployment.load(layout))
    how = orchestrated.How(force_version, auto_approve, dry_run, postgres_version, output)
    if wanted.target in orchestrated.ORCHESTRATED:
        return orchestrated.start(layout, wanted, values, how)
    return _start_here(layout, wanted, how, in_foreground=in_foreground)


def _start_here(layout: Layout, wanted: Deployment, how: orchestrated.How, *, in_foreground: bool) -> int:
    look = plan_embedded if wanted.target is TargetName.EMBEDDED else plan_native
    plan = look(layout, wanted, postgres_version=how.postgres_version, force=how.force)
    shown, planned = people(how.output), Planned(wanted.target, layout, plan.parts, plan.changes, plan.assessments)
    planned.show(shown)
    if how.dry_run:
        if how.output == "json":
            print_json(planned.public())
        return 0
    if not how.approved and not confirm("Start this?"):
        return 1
    make_directory(layout)
    settle(layout, plan)
    ready = partial(_tell, layout, shown, how.output)
    if in_foreground:
        return asyncio.run(foreground.run(_stack(layout, shown), ready, shown))
    arguments = ["deploy", "serve", "--data-dir", str(layout.root)]
    ready(foreground.detach(arguments, layout.root, shown, START_SECONDS))
    return 0


def _stack(layout: Layout, shown: Console) -> LocalStack:
    """What was chosen."""
    chosen = deployment.load(layout)
    if chosen is not None and chosen.target is TargetName.EMBEDDED:
        return _embedded_stack(layout, chosen, shown)
    return LocalStack(
        layout.root,
        lambda found: native(found, teller(shown)),
        on_ready=foreground.ready_line(shown),
    )


def _embedded_stack(layout: Layout, chosen: Deployment, shown: Console) -> EmbeddedStack:
    """The parts that `pavo up` runs, on the ports of the plan; at a later start inner ones may be taken meanwhile."""

    def ports() -> Ports:
        if not chosen.ports:
            return Ports.choose(chosen.port)
        found = replace_taken(chosen.ports)
        refuse_taken(found)
        return Ports(**found)

    return EmbeddedStack(
        layout.root,
        workers=chosen.workers,
        port=chosen.port,
        ports=ports,
        allow_file_origin=chosen.allow_file_origin,
        spare_worker=True,
        on_ready=foreground.ready_line(shown),
    )


@deploy_app.command(show=False)
def serve(*, data_dir: Path) -> int:
    """Run a deployment of this machine in the foreground, as `start` does in the background: for systemd and the like.

    Args:
        data_dir: where everything is kept.
    """
    layout, shown = layout_of(data_dir), console()
    return asyncio.run(foreground.run(_stack(layout, shown), partial(_tell, layout, shown, "text"), shown))


def must_read(layout: Layout) -> StackState:
    """What the supervisor wrote.

    Raises:
        NotFound: nothing runs or ran here.
    """
    state = read(layout.root)
    if state is None:
        raise NotFound(f"There is no deployment in {layout.root}.", field="--data-dir", remedy="pavo deploy start")
    return state


def _tell(layout: Layout, shown: Console, output: Format, state: StackState) -> None:
    """Where everything is, and what to do next."""
    shown.print()
    fields(
        {
            "API": state.urls.api,
            "UI": state.urls.ui,
            "Temporal UI": state.urls.temporal_ui or "not there",
            "Data": state.data_dir,
            "Prove it": f"pavo validate --data-dir {state.data_dir}",
            "Stop": f"pavo deploy stop --data-dir {state.data_dir}",
        },
        to=shown,
    )
    if output == "json":
        print_json(_described(layout, state))


def _described(layout: Layout, state: StackState) -> dict[str, Any]:
    """What `-o json` shows of a deployment on this machine."""
    chosen = deployment.load(layout)
    described = stack.described(state)
    forced = chosen.forced if chosen else []
    return {**described, "target": state.target, "versions": _versions(state), "forced": forced}


@deploy_app.command
def status(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Show target, versions and parts; exit code 1 when it does not run.

    Args:
        data_dir: where everything is kept.
    """
    layout = layout_of(data_dir)
    if target := orchestrated.found(layout):
        return orchestrated.status(target, output)
    state, chosen = must_read(layout), deployment.load(layout)
    if output == "json":
        print_json(_described(layout, state))
        return 0 if state.supervisor.alive() else 1
    versions = ", ".join(f"{name} {version}" for name, version in _versions(state).items() if version)
    console().print(f"[bold]Target[/]  {state.target}    [bold]Versions[/]  {versions}", soft_wrap=True)
    for line in chosen.forced if chosen else []:
        console().print(f"[yellow]! forced:[/] {line}", soft_wrap=True)
    return stack.status(data_dir=layout.root)


def _versions(state: StackState) -> dict[str, str]:
    """Of the parts; of the embedded Temporal the server's, for its wheel has another one."""
    if state.target != TargetName.EMBEDDED:
        return state.versions
    temporal, ui = dev_server_versions()
    return {**state.versions, "temporal": temporal or state.versions.get("temporal", ""), "temporal-ui": ui}


@deploy_app.command
def logs(
    part: str | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Lines = 100,
    data_dir: Path | None = None,
    output: Output = "text",
) -> int:
    """Show the parts' logs; with -o json a JSON object {part, line} for each line.

    Args:
        part: one part, for example temporal; all without.
        follow: go on until Ctrl-C.
        lines: how many of the newest lines of each part.
        data_dir: where everything is kept.
    """
    if target := orchestrated.found(layout_of(data_dir)):
        show = stack.print_log_line if output == "json" else None
        return target.logs(part, follow=follow, lines=lines, show=show)
    return stack.logs(part, follow=follow, lines=lines, data_dir=data_dir, output=output)


@deploy_app.command
def stop(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Drain and stop everything; tasks in flight go on at the next start.

    Args:
        data_dir: where everything is kept.
    """
    if target := orchestrated.found(layout_of(data_dir)):
        target.stop()
        tell(output, "Stopped.", {"stopped": True, "folder": str(target.folder)})
        return 0
    return stack.down(data_dir=data_dir, output=output)


@deploy_app.command
def restart(part: str, /, *, data_dir: Path | None = None, output: Output = "text") -> int:
    """End a part cleanly and start it again; several of a kind one after the other.

    Args:
        part: for example temporal, worker-1, or worker for every worker.
        data_dir: where everything is kept.
    """
    if target := orchestrated.found(layout_of(data_dir)):
        target.restart(part)
        names = [part]
    else:
        names = asyncio.run(control.restart(layout_of(data_dir).root, part))
    tell(output, "\n".join(f"✓ {name} is back" for name in names), {"restarted": names})
    return 0


@deploy_app.command
def destroy(*, data_dir: Path | None = None, auto_approve: bool = False, output: Output = "text") -> int:
    """Stop everything and remove its data for good; asks twice. Backups and outside databases stay.

    Args:
        data_dir: where everything is kept.
        auto_approve: do not ask.
    """
    layout = layout_of(data_dir)
    if target := orchestrated.found(layout):
        return orchestrated.destroy(layout, target, approved=auto_approve, output=output)
    chosen = deployment.load(layout)
    if chosen is None and read(layout.root) is None:
        raise NotFound(f"There is no deployment in {layout.root}.", field="--data-dir")
    if not auto_approve and not (
        confirm(f"Remove all tasks and data in {layout.root}?") and confirm("There is no way back. Really?")
    ):
        return 1
    asyncio.run(control.stop(layout.root))
    with take_lock(layout):
        remove_data(layout.root)
    left = chosen is not None and chosen.outside_postgres
    note = (
        "\nThe databases pavo, temporal and temporal_visibility on the outside server were left alone." if left else ""
    )
    tell(output, f"Removed {layout.root}.{note}", {"removed": str(layout.root), "outside_databases_left": left})
    return 0


@deploy_app.command
def versions(*, output: Output = "text") -> int:
    """Show which versions go together, and what was really tested."""
    known = matrix()
    if output == "json":
        print_json(known.model_dump())
        return 0
    rows = [(f"{r.tag} …", f"{r.schema_version} / {r.visibility_schema}", r.status, r.why) for r in known.temporal]
    table(("Temporal", "schema / visibility", "", ""), rows)
    console().print()
    table(("PostgreSQL", "", ""), [(row.major, row.status, row.why) for row in known.postgres])
    console().print()
    table(("Python SDK", ""), [(row.minor, row.status) for row in known.python_sdk])
    console().print()
    table(("Pavo", "schema"), [(row.pavo, row.revision) for row in known.pavo_schema])
    console().print("\n[bold]Tested here[/] (everything else is documented only)")
    table(("Temporal", "PostgreSQL", "when", "by"), [(t.temporal, t.postgres, t.when, t.by) for t in known.tested])
    console().print(f"\nTaken without options: Temporal {known.pins.temporal}, its UI {known.pins.temporal_ui}.")
    return 0


deploy_app.command("pavo.cli.deploy.check:check", name="check", help="Check everything before a rollout.")
deploy_app.command("pavo.cli.deploy.workers:workers", name="workers", help="Show and change the workers' versions.")
