"""`pavo deploy` on Docker Compose and Kubernetes."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pavo.cli.ask import confirm
from pavo.cli.deploy.plan import Planned
from pavo.cli.output import Format, console, people, print_json, table, tell
from pavo.deploy.model import deployment
from pavo.deploy.model.compatibility import Assessment, assess, refuse_bad
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.orchestrated.compose import read_env
from pavo.deploy.orchestrated.targets import OrchestratedTarget, orchestrated_target
from pavo.errors import ConfigurationError, Conflict

ORCHESTRATED = (TargetName.COMPOSE, TargetName.KUBERNETES)


def found(layout: Layout) -> OrchestratedTarget | None:
    """What was deployed for this data directory, if Docker or Kubernetes runs it."""
    chosen = deployment.load(layout)
    return orchestrated_target(layout, chosen) if chosen is not None and chosen.target in ORCHESTRATED else None


@dataclass(frozen=True, slots=True)
class How:
    """How a start goes about it."""

    force: bool
    """Go on with versions that are known bad."""
    approved: bool
    dry_run: bool
    postgres_version: str | None
    """Refuse another one; Compose: its major."""
    output: Format = "text"


def start(layout: Layout, wanted: Deployment, values: tuple[Path, ...], how: How) -> int:
    """Show the plan, ask, write the files, start, wait. A dry run writes the files and starts nothing."""
    wanted = wanted.model_copy(update={"postgres_version": how.postgres_version or wanted.postgres_version})
    _same_target(layout, wanted)
    target = orchestrated_target(layout, wanted, values)
    assessments = _assessments(wanted, target)
    wanted = wanted.model_copy(update={"forced": refuse_bad(assessments, forced=how.force)})
    shown = people(how.output)
    planned = Planned(wanted.target, layout, target.plan(), target.changes(), assessments)
    planned.show(shown)
    missing = target.missing()
    if missing is not None and not how.dry_run:
        raise ConfigurationError(
            missing, field="--target", remedy="Mend that; or write the files for elsewhere: --dry-run."
        )
    if not how.dry_run and not how.approved and not confirm("Start this?"):
        return 1
    target.write()
    deployment.save(layout, wanted)
    if how.dry_run:
        said = f"Wrote {target.folder}; nothing was started. {missing or ''}"
        tell(how.output, said, {**planned.public(), "folder": str(target.folder), "missing": missing})
        return 0
    target.start()
    return status(target, how.output)


def status(target: OrchestratedTarget, output: Format) -> int:
    """Every container or pod; exit code 1 when one is not ready, or there is none."""
    shown = target.status()
    ready = bool(shown) and all(one.ready for one in shown)
    if output == "json":
        print_json({"folder": str(target.folder), "parts": [asdict(one) for one in shown]})
    elif shown:
        rows = [(one.name, one.state, "yes" if one.ready else "no", one.restarts or "") for one in shown]
        table(("name", "state", "ready", "restarts"), rows)
    else:
        console().print(f"Nothing of {target.folder} runs.", soft_wrap=True)
    return 0 if ready else 1


def destroy(layout: Layout, target: OrchestratedTarget, *, approved: bool, output: Format = "text") -> int:
    """Remove it with its data; asks twice."""
    question = f"Remove what {target.folder} describes, with all its data?"
    if not approved and not (confirm(question) and confirm("There is no way back. Really?")):
        return 1
    target.destroy()
    deployment.path(layout).unlink(missing_ok=True)
    tell(output, f"Removed {target.folder} and what it described.", {"removed": str(target.folder)})
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
    """Of the versions that the target brings; in a cluster Temporal and PostgreSQL are others'."""
    if wanted.target is TargetName.KUBERNETES:
        return []
    image = next(part.version for part in target.plan() if part.name == "postgres")
    major = read_env(target.folder).get("POSTGRES_MAJOR") or image.rpartition(":")[2]
    return assess(temporal=wanted.temporal_version, postgres=major)
