"""`pavo deploy certificates`: those of a deployment's own CA, how long they hold, and new ones."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pavo.cli.confirm import confirm
from pavo.cli.deploy import orchestrated
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import Approved, layout_of
from pavo.cli.table import table
from pavo.deploy.certificates.judge import judge_tls
from pavo.deploy.certificates.kept import Certificates, ending, folder_of, kept_certificates
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.native import certificates as certificates_of
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import running
from pavo.deploy.orchestrated.compose_target import compose_options
from pavo.errors import ConfigurationError, Conflict, InvalidInput


def certificates(
    *,
    renew: bool = False,
    new_ca: bool = False,
    data_dir: Path | None = None,
    yes: Approved = False,
    output: Output = "text",
) -> int:
    """Show how the parts speak with each other, and when each certificate ends. They are renewed by themselves.

    Args:
        renew: replace the parts' certificates now; running parts take them within a minute. Containers: Temporal does,
            restart the others then.
        new_ca: replace the CA and all that it signed, of a stopped deployment: after its key was seen by others, say.
        data_dir: where everything is kept.
    """
    layout = layout_of(data_dir)
    if renew and new_ca:
        raise InvalidInput("A new CA signs new certificates anyway.", field="--renew", remedy="Leave it away.")
    now = datetime.now(UTC)
    renewed: list[str] = []
    if renew:
        renewed = _own(layout).renew(now)
        if target := orchestrated.found(layout):
            target.write()
    if new_ca:
        own = _own(layout)
        _refuse_running(layout)
        if not confirm("Replace the CA? Copies of its certificate elsewhere are worth nothing then.", approved=yes):
            return 1
        with take_lock(layout):
            renewed = own.replace_authority(now)
        if target := orchestrated.found(layout):
            target.write()
    Printer(output).show(_document(layout, renewed, now), lambda: _show(layout, renewed, now))
    return 0


def _own(layout: Layout) -> Certificates:
    chosen = deployment.load(layout)
    own = _own_of(layout, chosen) if chosen is not None else None
    if own is None:
        found = judge_tls(layout, datetime.now(UTC))
        raise ConfigurationError(
            f"The deployment in {layout.root} has no certificates of its own.",
            field="--data-dir",
            remedy=(found.remedy if found else None) or "See docs/deployment.md: TLS between the parts.",
        )
    return own


def _own_of(layout: Layout, chosen: Deployment) -> Certificates | None:
    if chosen.target is TargetName.COMPOSE:
        return compose_options(layout, chosen).gateway.certificates(layout, tls=chosen.tls)
    return certificates_of(layout, chosen)


def _refuse_running(layout: Layout) -> None:
    target = orchestrated.found(layout)
    if running(layout.root) or (target is not None and target.status()):
        raise Conflict(
            "The parts trust the CA that they were started with.",
            field="--new-ca",
            remedy="pavo deploy stop, pavo deploy certificates --new-ca, pavo deploy start",
        )


def _document(layout: Layout, renewed: list[str], now: datetime) -> dict[str, Any]:
    found = kept_certificates(layout)
    soon = {each.name for each in ending(found, now)}
    judged = judge_tls(layout, now)
    return {
        "tls": judged.public() if judged else None,
        "folder": str(folder_of(layout)),
        "renewed": renewed,
        "certificates": [
            {"name": each.name, "ends": each.ends.isoformat(), "serial": f"{each.serial:x}", "soon": each.name in soon}
            for each in found
        ],
    }


def _show(layout: Layout, renewed: list[str], now: datetime) -> None:
    if renewed:
        say(f"✓ Renewed: {', '.join(renewed)}")
    found = kept_certificates(layout)
    rows = [(each.name, f"{each.ends:%Y-%m-%d %H:%M} UTC", (each.ends - now).days) for each in found]
    if rows:
        table(("certificate of", "ends", "days left"), rows)
    judged = judge_tls(layout, now)
    if judged:
        say(f"TLS: {judged.detail}")
        if judged.remedy:
            say(f"  → {judged.remedy}")
