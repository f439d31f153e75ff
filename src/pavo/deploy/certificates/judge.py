"""How the parts of a deployment speak with each other, and how long its certificates hold: for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pavo.deploy.certificates.kept import AUTHORITY, KeptCertificate, ending, kept_certificates
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.deployment import TargetName
from pavo.deploy.model.findings import Finding
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError

NAME: Final = "tls"
EMBEDDED: Final = (
    "none: PostgreSQL and Valkey of the wheels are built without TLS, and Temporal's development server has none; they "
    "listen on loopback alone"
)
SWITCH_ON: Final = "pavo deploy stop, then pavo deploy start --tls"


def judge_tls(layout: Layout, now: datetime) -> Finding | None:
    """One line about a deployment of this machine; None where an orchestrator runs the parts, without certificates of
    ours."""
    try:
        chosen = deployments.load(layout)
        if chosen is None or chosen.target is TargetName.EMBEDDED:
            return Finding(NAME, "pass", EMBEDDED)
        if chosen.target is not TargetName.NATIVE and not chosen.tls:
            return None
        if not chosen.tls:
            detail = (
                "off: the parts speak plainly, on loopback; whoever reaches Temporal on this machine may command it"
            )
            return Finding(NAME, "warn", detail, f"Switch it on: {SWITCH_ON}")
        return _judge(chosen.tls_parts, kept_certificates(layout), now)
    except ConfigurationError as error:
        return Finding(NAME, "fail", error.detail, error.remedy)


def _judge(servers: Sequence[str], found: Sequence[KeptCertificate], now: datetime) -> Finding:
    who = f"{', '.join(servers)} by certificates of the deployment's own CA"
    soon = ending(found, now)
    if not soon:
        first = min(found, key=lambda each: each.ends) if found else None
        until = f"; the first ends on {first.ends:%Y-%m-%d} ({first.name})" if first else "; they are made at its start"
        return Finding(NAME, "pass", who + until)
    lines = ", ".join(said_of(each, now) for each in soon)
    over = any(each.ends <= now for each in soon)
    remedy = "Renew them: pavo deploy certificates --renew"
    if any(each.name == AUTHORITY for each in soon):
        remedy = "Make a new CA: pavo deploy stop, pavo deploy certificates --new-ca, pavo deploy start"
    return Finding(NAME, "fail" if over else "warn", f"{who}; {lines}", remedy)


def said_of(each: KeptCertificate, now: datetime) -> str:
    """When a certificate ends, or that it has."""
    days = (each.ends - now).days
    if each.ends <= now:
        return f"that of {each.name} ended on {each.ends:%Y-%m-%d}"
    return f"that of {each.name} ends on {each.ends:%Y-%m-%d}, in {days} day{'' if days == 1 else 's'}"
