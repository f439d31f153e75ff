"""Triggers and firings as they are shown."""

from typing import Any

from pavo.kit.pagination import Page
from pavo.triggers.models import TriggerFiringRow
from pavo.triggers.receiving import Taken
from pavo.triggers.schemas import (
    EndOfOut,
    TakenOut,
    TriggerFiringOut,
    TriggerFiringPage,
    TriggerOut,
    TriggerPausedOut,
    TriggerWithSecretOut,
)
from pavo.triggers.service import TriggerView


def trigger_out(view: TriggerView) -> TriggerOut:
    """A trigger."""
    row = view.row
    plain: dict[str, Any] = {name: getattr(row, name) for name in TriggerOut.model_fields if hasattr(row, name)}
    paused = row.paused_at and TriggerPausedOut(at=row.paused_at, by=view.paused_by, reason=row.paused_reason)
    when = {"kind": row.event_kind, "outcomes": row.outcomes, "flows": row.flows}
    shown: dict[str, Any] = {
        "when": EndOfOut.model_validate(when) if row.event_kind else None,
        "path": None if row.event_kind else f"/api/triggers/{row.id}",
        "paused": paused,
        "secrets": view.secrets,
        "acts_for": view.acts_for,
    }
    return TriggerOut(**{**plain, **shown})


def with_secret(view: TriggerView, secret: str | None) -> TriggerWithSecretOut:
    """A trigger, and its newest secret."""
    return TriggerWithSecretOut(**trigger_out(view).model_dump(), secret=secret)


def firing_page(found: Page[TriggerFiringRow]) -> TriggerFiringPage:
    """Some firings."""
    items = [TriggerFiringOut.model_validate(each) for each in found.items]
    return TriggerFiringPage(items=items, next_cursor=found.next_cursor)


def taken_out(taken: Taken) -> TakenOut:
    """What a message has started: nothing that its sender need not know."""
    row = taken.firing
    plain: dict[str, Any] = {name: getattr(row, name) for name in ("id", "state", "kind", "subject_id")}
    return TakenOut(**plain, repeated=taken.repeated)
