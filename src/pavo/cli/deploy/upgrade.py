"""`pavo deploy upgrade`."""

import asyncio
from pathlib import Path

from rich.console import Console

from pavo.cli.confirm import confirm
from pavo.cli.deploy.findings import show_findings
from pavo.cli.deploy.long_steps import long_steps_of
from pavo.cli.deploy.start_plan import warn
from pavo.cli.installation import find_installation
from pavo.cli.output import Output, Printer, fields, teller
from pavo.cli.parameters import Approved, layout_of
from pavo.config import Settings
from pavo.deploy.checks.run import Wanted, check_rollout
from pavo.deploy.local import control
from pavo.deploy.local.deployed_settings import kept_or_adopted
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.progress import Say
from pavo.deploy.rollout.upgrade import UpgradePlan, perform_upgrade, plan_upgrade
from pavo.errors import Conflict
from pavo.worker import workflows


def upgrade(
    *,
    data_dir: Path | None = None,
    temporal_version: str | None = None,
    temporal_bin: Path | None = None,
    worker_build: str = "",
    backup: bool = True,
    accept_breaking: bool = False,
    force_version: bool = False,
    yes: Approved = False,
    output: Output = "text",
) -> int:
    """Upgrade a running native deployment: backup, schema, servers one minor at a time, Pavo's schema, API, workers.

    Tasks in flight go on. Interrupted, the same command goes on where it was.

    Args:
        data_dir: where everything is kept.
        temporal_version: to which; default: the pinned one (pavo deploy versions).
        temporal_bin: a folder with temporal-server and temporal-sql-tool of that version.
        worker_build: a build id for the installed code's workers: tasks stay on the build that began them until they
            continue as new or are woken (pavo deploy workers shows them). Without, workers are restarted one by one.
        backup: take a backup first, and prove it.
        accept_breaking: go on although the installed code breaks open histories.
        force_version: go on with versions that are known bad.
    """
    layout, printer = layout_of(data_dir), Printer(output)
    shown = printer.people
    programs = temporal_bin and temporal_bin.absolute()
    kept_or_adopted(layout)  # before its parts are started anew: what it runs with is what they get
    plan = asyncio.run(plan_upgrade(layout, temporal_version, programs=programs, force=force_version))
    _show(plan, shown, backup=backup)
    settings = _checked(layout, worker_build or plan.chosen.worker_build, shown, accept_breaking=accept_breaking)
    if not confirm("Upgrade?", approved=yes):
        return 1
    place = asyncio.run(_perform(layout, plan, settings, teller(shown), build=worker_build, backup=backup))
    _tell(plan, place, printer)
    return 0


async def _perform(
    layout: Layout, plan: UpgradePlan, settings: Settings, say: Say, *, build: str, backup: bool
) -> Path | None:
    async with long_steps_of(settings, say) as long_steps:
        return await perform_upgrade(layout, plan, settings, say, build=build, backup=backup, long_steps=long_steps)


def _tell(plan: UpgradePlan, place: Path | None, printer: Printer) -> None:
    document = {
        "from": plan.running_version,
        "temporal": list(plan.steps),
        "migrations": list(plan.pending),
        "backup": place and str(place),
    }
    printer.show(document, "Upgraded." + (f" The state before is in {place}." if place else ""))


def _checked(layout: Layout, build: str, shown: Console, *, accept_breaking: bool) -> Settings:
    """The deployment's settings, when all checks of a rollout let it go on.

    Where old workers stay beside those of a new build, histories that it breaks end where they began: a warning. A
    single worker's tasks are taken over as they are, so that they must replay.
    """
    found = find_installation(layout.root)
    settings = found.settings
    workers = found.stack and len(control.parts_named(found.stack, "worker"))
    if build and workers and workers > 1:
        settings = settings.model_copy(update={"execution": settings.execution.model_copy(update={"build_id": build})})
    wanted = Wanted(workflows(), accept_breaking=accept_breaking, data_dir=layout.root, workers=workers or 1)
    checked = asyncio.run(check_rollout(settings, wanted))
    show_findings([finding for finding in checked.findings if finding.status in ("warn", "fail")], shown)
    if not checked.ok:
        raise Conflict("The checks failed.", remedy="Mend what is marked above (pavo deploy check), then upgrade.")
    return found.settings


def _show(plan: UpgradePlan, shown: Console, *, backup: bool) -> None:
    steps = " → ".join((plan.running_version, *plan.steps)) if plan.steps else f"{plan.running_version} stays"
    rows = {
        "Backup": "of all databases, proven on a scratch server" if backup else "none",
        "Temporal": steps,
        "Schema": ", ".join(plan.schemas) or "unknown",
        "Pavo": f"migrations {', '.join(plan.pending)}" if plan.pending else "schema stays",
        "Restarts": "temporal once a step, then each API and each worker, one by one",
        "Way back": "a server that does not get ready is taken back; later only the backup",
    }
    fields(rows, width=10, to=shown)
    warn(plan.assessments, shown)
