"""`pavo deploy`: Pavo on a target, with its plan shown before anything is done."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.text import Text

from pavo import __version__
from pavo.cli.confirm import confirm
from pavo.cli.deploy import orchestrated
from pavo.cli.deploy.start_options import StartOptions
from pavo.cli.deploy.start_plan import ShownPlan
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, fields, teller
from pavo.cli.parameters import Approved, Detach, Lines, layout_of
from pavo.cli.stack.down import down
from pavo.cli.stack.launch import StackLaunch, begin_with_settings, launch, ready_line, run_in_foreground
from pavo.cli.stack.logs import logs as stack_logs
from pavo.cli.stack.logs import show_log_line
from pavo.cli.stack.status import ask_what_is_wrong, print_parts, print_wrong, status_code, status_document
from pavo.deploy.certificates.judge import judge_tls
from pavo.deploy.local import control
from pavo.deploy.local.components.gateway_process import GatewayPlace, wanted_port, with_gateway
from pavo.deploy.local.components.postgres import PostgresServer
from pavo.deploy.local.definition import StackPorts
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.ports import refuse_taken, replace_taken
from pavo.deploy.local.native import certificates, define_native
from pavo.deploy.local.planning import plan_embedded, plan_native, settle
from pavo.deploy.local.restarts.renewal import Renewal
from pavo.deploy.local.stack import EmbeddedStack, LocalStack, make_directory, remove_data
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import StackState, read
from pavo.errors import NotFound
from pavo.observe.printable import printable_line

deploy_app = App(
    name="deploy",
    help="Run Pavo on a target: embedded, native, compose or kubernetes.",
    help_epilogue=epilogue("deploy"),
)
START_SECONDS = 2400.0
"""A first start may build Temporal with Go."""
NOTHING = StartOptions()


@deploy_app.command
def start(
    *,
    chosen: StartOptions = NOTHING,
    values: tuple[Path, ...] = (),
    data_dir: Path | None = None,
    postgres_version: str | None = None,
    force_version: bool = False,
    yes: Approved = False,
    detach: Detach = True,
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
        dry_run: show the plan and do nothing; with compose and kubernetes, write their files.
    """
    layout = layout_of(data_dir)
    wanted = chosen.over(deployment.load(layout))
    mode = orchestrated.StartMode(force_version, yes, dry_run, postgres_version, output)
    if wanted.target in orchestrated.ORCHESTRATED:
        return orchestrated.start(layout, wanted, values, mode)
    return _start_here(layout, wanted, mode, detach=detach)


def _start_here(layout: Layout, wanted: Deployment, mode: orchestrated.StartMode, *, detach: bool) -> int:
    make_plan = plan_embedded if wanted.target is TargetName.EMBEDDED else plan_native
    found = make_plan(layout, wanted, postgres_version=mode.postgres_version, force=mode.force)
    plan = ShownPlan(wanted.target, layout, found.parts, found.changes, found.assessments, found.settings)
    printer = Printer(mode.output)
    shown = printer.people
    plan.show(shown)
    if mode.dry_run:
        printer.show(plan.public())
        return 0
    if not confirm("Start this?", approved=mode.approved):
        return 1
    make_directory(layout)
    settle(layout, found)
    serving = ["deploy", "serve", "--data-dir", str(layout.root)]
    beside = partial(_renew_certificates, layout, shown)
    start = StackLaunch(layout.root, partial(_stack, layout, shown), serving, START_SECONDS, beside)
    return launch(start, partial(_tell, layout, shown, printer), shown, detach=detach)


def _stack(layout: Layout, shown: Console) -> LocalStack:
    """The stack that was chosen."""
    chosen = deployment.load(layout)
    if chosen is not None and chosen.target is TargetName.EMBEDDED:
        return _embedded_stack(layout, chosen, shown)
    return LocalStack(
        layout.root,
        lambda found: define_native(found, teller(shown)),
        on_ready=ready_line(shown),
    )


def _embedded_stack(layout: Layout, chosen: Deployment, shown: Console) -> EmbeddedStack:
    """The parts that `pavo up` runs, on the ports of the plan; an inner port that is taken meanwhile is replaced."""

    def ports() -> StackPorts:
        if not chosen.ports:
            return StackPorts.choose(chosen.port, wanted_port(layout))
        found = with_gateway(layout, replace_taken(chosen.ports))
        refuse_taken(found)
        return StackPorts(**found)

    return EmbeddedStack(
        layout.root,
        workers=chosen.workers,
        port=chosen.port,
        ports=ports,
        allow_file_origin=chosen.allow_file_origin,
        spare_worker=True,
        on_ready=ready_line(shown),
    )


@deploy_app.command(show=False)
def serve(*, data_dir: Path) -> int:
    """Run a deployment of this machine in the foreground, as `start` does in the background: for systemd and the like.

    Args:
        data_dir: where everything is kept.
    """
    layout, shown = layout_of(data_dir), console()
    begin_with_settings(layout, shown)
    ready = partial(_tell, layout, shown, Printer("text"))
    beside = partial(_renew_certificates, layout, shown)
    return asyncio.run(run_in_foreground(_stack(layout, shown), ready, shown, beside))


async def _renew_certificates(layout: Layout, shown: Console, stack: LocalStack) -> None:
    """While the stack runs, if it has any; the gateway mostly has one, also where the parts speak plainly."""
    chosen = deployment.load(layout)
    own = (certificates(layout, chosen) if chosen is not None else None) or GatewayPlace.of(layout, 0).own
    if own is not None:
        postgres = stack.definition.components.get("postgres")
        server = postgres if isinstance(postgres, PostgresServer) else None
        await Renewal(layout, own, stack.supervisor, teller(shown), server).run()


def must_read(layout: Layout) -> StackState:
    """The state that the supervisor wrote.

    Raises:
        NotFound: nothing runs or ran here.
    """
    state = read(layout.root)
    if state is None:
        raise NotFound(f"There is no deployment in {layout.root}.", field="--data-dir", remedy="pavo deploy start")
    return state


def _tell(layout: Layout, shown: Console, printer: Printer, state: StackState) -> None:
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
    if printer.for_programs:
        printer.show(_deployment_document(layout, state, _versions(state)))


def _deployment_document(layout: Layout, state: StackState, versions: Mapping[str, str]) -> dict[str, Any]:
    """What `-o json` shows of a deployment on this machine."""
    chosen = deployment.load(layout)
    document = status_document(state)
    for part in document["parts"]:
        part["version"] = versions.get(part["name"], "")
    forced = chosen.forced if chosen else []
    tls = judge_tls(layout, datetime.now(UTC))
    told = tls.public() if tls else None
    return {**document, "target": state.target, "versions": dict(versions), "forced": forced, "tls": told}


@deploy_app.command
def status(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Show target, parts, and the versions that run; exit code 0 all ready, 5 one is not, 1 it does not run.

    Each part is asked for its version; one that does not answer has none.

    Args:
        data_dir: where everything is kept.
    """
    layout = layout_of(data_dir)
    if target := orchestrated.found(layout):
        return orchestrated.status(target, output)
    state = must_read(layout)
    versions, wrong = _versions(state), ask_what_is_wrong(state)

    def print_all() -> None:
        _print_deployment(layout, state, versions)
        print_wrong(wrong)

    Printer(output).show({**_deployment_document(layout, state, versions), "wrong": dict(wrong)}, print_all)
    return status_code(state, wrong)


def _print_deployment(layout: Layout, state: StackState, versions: Mapping[str, str]) -> None:
    chosen = deployment.load(layout)
    head = (("Target", "bold"), f"  {state.target}    ", ("Versions", "bold"), f"  {_told(versions)}")
    console().print(Text.assemble(*head), soft_wrap=True)
    for line in chosen.forced if chosen else []:
        console().print(Text.assemble(("! forced:", "yellow"), f" {printable_line(line)}"), soft_wrap=True)
    tls = judge_tls(layout, datetime.now(UTC))
    wrong = [f"tls: {tls.detail}. {tls.remedy}"] if tls and chosen and chosen.tls and tls.status != "pass" else []
    for line in [*_different(state, chosen, versions), *wrong]:
        console().print(Text.assemble(("!", "yellow"), f" {printable_line(line)}"), soft_wrap=True)
    print_parts(state)


def _told(versions: Mapping[str, str]) -> str:
    """The versions of the parts that said theirs; those of Pavo's own processes by number where they differ."""
    return printable_line(", ".join(f"{name} {version}" for name, version in versions.items() if version)) or "unknown"


def _different(state: StackState, chosen: Deployment | None, versions: Mapping[str, str]) -> list[str]:
    """Where what runs is not what was chosen, or not what is installed."""
    found = [
        f"{part.name} runs Pavo {part.version}; {__version__} is installed: pavo deploy upgrade"
        for part in state.parts
        if part.version and part.version != __version__ and state.supervisor.alive()
    ]
    runs = versions.get("temporal", "")
    if chosen and chosen.target is TargetName.NATIVE and runs and runs != chosen.temporal_version:
        found.append(f"temporal runs {runs}; {chosen.temporal_version} was chosen: pavo deploy restart temporal")
    return found


def _versions(state: StackState) -> dict[str, str]:
    """What the parts say that they are; nothing of a deployment that does not run."""
    if not state.supervisor.alive():
        return {}
    from pavo.deploy.local.running_versions import running_versions  # its clients take a second to import

    # On a thread: a stack in the foreground tells of itself from its own event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, running_versions(state)).result()


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
        printer = Printer(output)
        return target.logs(part, follow=follow, lines=lines, show=partial(show_log_line, printer))
    return stack_logs(part, follow=follow, lines=lines, data_dir=data_dir, output=output)


@deploy_app.command
def stop(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Drain and stop everything; tasks in flight go on at the next start.

    Args:
        data_dir: where everything is kept.
    """
    if target := orchestrated.found(layout_of(data_dir)):
        target.stop()
        Printer(output).show({"stopped": True, "folder": str(target.folder)}, "Stopped.")
        return 0
    return down(data_dir=data_dir, output=output)


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
    Printer(output).show({"restarted": names}, "\n".join(f"✓ {name} is back" for name in names))
    return 0


@deploy_app.command
def destroy(*, data_dir: Path | None = None, yes: Approved = False, output: Output = "text") -> int:
    """Stop everything and remove its data for good; asks twice. Backups and outside databases stay.

    Args:
        data_dir: where everything is kept.
    """
    layout = layout_of(data_dir)
    if target := orchestrated.found(layout):
        return orchestrated.destroy(layout, target, approved=yes, output=output)
    chosen = deployment.load(layout)
    if chosen is None and read(layout.root) is None:
        raise NotFound(
            f"There is no deployment in {layout.root}.", field="--data-dir", remedy="Name its folder with --data-dir."
        )
    question = f"Remove all tasks and data in {layout.root}?"
    if not confirm(question, "There is no way back. Really?", approved=yes):
        return 1
    asyncio.run(control.stop(layout.root))
    with take_lock(layout):
        remove_data(layout.root)
    left = chosen is not None and chosen.outside_postgres
    note = (
        "\nThe databases pavo, temporal and temporal_visibility on the outside server were left alone." if left else ""
    )
    document = {"removed": str(layout.root), "outside_databases_left": left}
    Printer(output).show(document, f"Removed {layout.root}.{note}")
    return 0


give_examples(deploy_app, "deploy")
for path, name, summary in (
    (
        "pavo.cli.deploy.backup:backup",
        "backup",
        "Back up all databases, of one moment, while everything works; and prove it.",
    ),
    ("pavo.cli.deploy.backup:restore", "restore", "Put a backup in the place of a stopped deployment's databases."),
    ("pavo.cli.deploy.upgrade:upgrade", "upgrade", "Upgrade a running deployment: schema, servers, API, workers."),
    ("pavo.cli.deploy.settings:settings", "settings", "Show the settings that a deployment keeps."),
    ("pavo.cli.deploy.settings:set_settings", "set", "Change settings that a deployment keeps."),
    ("pavo.cli.deploy.settings:unset_settings", "unset", "Have a deployment keep a setting no longer."),
    ("pavo.cli.deploy.certificates:certificates", "certificates", "Show and renew the certificates of the parts."),
    ("pavo.cli.deploy.check:check", "check", "Check everything before a rollout."),
    ("pavo.cli.deploy.versions:versions", "versions", "Show which versions go together, and what was really tested."),
    ("pavo.cli.deploy.workers:workers", "workers", "Show and change the workers' versions."),
):
    deploy_app.command(path, name=name, help=summary, help_epilogue=epilogue(f"deploy {name}"))
