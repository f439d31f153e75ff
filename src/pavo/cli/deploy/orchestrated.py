"""`pavo deploy` on Docker Compose and Kubernetes."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pavo.cli.confirm import confirm
from pavo.cli.deploy.start_plan import ShownPlan
from pavo.cli.exit_codes import DONE, FAILED, NOT_AVAILABLE
from pavo.cli.output import Format, Printer, console
from pavo.cli.table import table
from pavo.deploy.certificates.parts import TEMPORAL
from pavo.deploy.model import deployment, setting_rules
from pavo.deploy.model.compatibility import Assessment, assess, refuse_bad
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.settings_plan import plan_own_files
from pavo.deploy.orchestrated.choose_target import orchestrated_target
from pavo.deploy.orchestrated.compose import read_env
from pavo.deploy.orchestrated.target_interface import OrchestratedTarget
from pavo.errors import ConfigurationError, Conflict

ORCHESTRATED = (TargetName.COMPOSE, TargetName.KUBERNETES)


def found(layout: Layout) -> OrchestratedTarget | None:
    """What was deployed for this data directory, if Docker or Kubernetes runs it."""
    chosen = deployment.load(layout)
    return orchestrated_target(layout, chosen) if chosen is not None and chosen.target in ORCHESTRATED else None


@dataclass(frozen=True, slots=True)
class StartMode:
    """How far a start goes, and what it may pass over."""

    force: bool
    """Go on with versions that are known bad."""
    approved: bool
    dry_run: bool
    postgres_version: str | None
    """Refuse another one; Compose: its major."""
    output: Format = "text"


def start(layout: Layout, wanted: Deployment, values: tuple[Path, ...], mode: StartMode) -> int:
    """Show the plan, ask, write the files, start, wait. A dry run writes the files and starts nothing."""
    wanted = wanted.model_copy(update={"postgres_version": mode.postgres_version or wanted.postgres_version})
    _same_target(layout, wanted)
    wanted = wanted.model_copy(update={"tls_parts": [TEMPORAL] if wanted.tls else []})
    if deployment.load(layout) is None:
        setting_rules.refuse_unread(os.environ)
    target = orchestrated_target(layout, wanted, values)
    settings = plan_own_files(target.settings_place(), target.settings(), os.environ)
    assessments = _assessments(wanted, target)
    wanted = wanted.model_copy(update={"forced": refuse_bad(assessments, forced=mode.force)})
    printer = Printer(mode.output)
    plan = ShownPlan(wanted.target, layout, target.plan(), target.changes(), assessments, settings)
    plan.show(printer.people)
    missing = target.missing()
    if missing is not None and not mode.dry_run:
        raise ConfigurationError(
            missing, field="--target", remedy="Mend that; or write the files for elsewhere: --dry-run."
        )
    if not mode.dry_run and not confirm("Start this?", approved=mode.approved):
        return 1
    target.write()
    deployment.save(layout, wanted)
    if mode.dry_run:
        said = f"Wrote {target.folder}; nothing was started. {missing or ''}"
        printer.show({**plan.public(), "folder": str(target.folder), "missing": missing}, said)
        return 0
    target.start()
    return status(target, mode.output)


def status(target: OrchestratedTarget, output: Format) -> int:
    """Every container or pod; exit code 5 when one is not ready, 1 when there is none."""
    parts = target.status()
    rows = [(part.name, part.state, "yes" if part.ready else "no", part.restarts or "") for part in parts]
    document = {"folder": str(target.folder), "parts": [asdict(part) for part in parts]}
    Printer(output).show(document, lambda: _print_parts(target.folder, rows))
    if not parts:
        return FAILED
    return DONE if all(part.ready for part in parts) else NOT_AVAILABLE


def _print_parts(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        table(("name", "state", "ready", "restarts"), rows)
    else:
        console().print(f"Nothing of {folder} runs.", soft_wrap=True)


def destroy(layout: Layout, target: OrchestratedTarget, *, approved: bool, output: Format = "text") -> int:
    """Remove it with its data; asks twice."""
    question = f"Remove what {target.folder} describes, with all its data?"
    if not confirm(question, "There is no way back. Really?", approved=approved):
        return 1
    target.destroy()
    deployment.path(layout).unlink(missing_ok=True)
    text = f"Removed {target.folder} and what it described."
    Printer(output).show({"removed": str(target.folder)}, text)
    return 0


def _same_target(layout: Layout, wanted: Deployment) -> None:
    kept = deployment.load(layout)
    if kept is not None and kept.target is not wanted.target:
        raise Conflict(
            f"{layout.root} was deployed as {kept.target}.", field="--target", remedy="Choose another --data-dir."
        )
    if kept is None and (layout.root / "state.json").exists():
        raise Conflict(
            f"{layout.root} holds a stack of this machine.", field="--data-dir", remedy="Choose another --data-dir."
        )


def _assessments(wanted: Deployment, target: OrchestratedTarget) -> list[Assessment]:
    """What is known of the versions that the target brings; to a cluster it brings no Temporal and no PostgreSQL."""
    if wanted.target is TargetName.KUBERNETES:
        return []
    image = next(part.version for part in target.plan() if part.name == "postgres")
    major = read_env(target.folder).get("POSTGRES_MAJOR") or image.rpartition(":")[2]
    return assess(temporal=wanted.temporal_version, postgres=major)
