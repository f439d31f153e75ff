"""Published flows as the wire has them."""

from collections.abc import Mapping
from typing import Any

from pavo.flows.ledger.records import FlowVersion, PublishedFlow
from pavo.flows.published.schemas import (
    FlowOut,
    FlowPage,
    FlowReleaseOut,
    FlowVersionOut,
    FlowVersionText,
    ListedFlow,
    PublishedOut,
)
from pavo.flows.published.service import Published, ShownFlow, VersionText
from pavo.kit.pagination import Page


def version_out(found: FlowVersion) -> FlowVersionOut:
    """As it is shown."""
    return FlowVersionOut.model_validate(found)


def text_out(found: VersionText) -> FlowVersionText:
    """With what it says."""
    return FlowVersionText.model_validate({**_members(found.version), "definition": found.definition})


def published_out(found: Published) -> PublishedOut:
    """As it is shown to whoever published it."""
    checked = found.checked
    told: dict[str, Any] = {"is_new": found.created, "unchecked": checked.unchecked}
    told |= {"only_on_temporal": checked.only_on_temporal}
    return PublishedOut.model_validate({**_members(found.version), **told})


def flow_out(found: ShownFlow) -> FlowOut:
    """As it is shown."""
    releases = [FlowReleaseOut.model_validate(each) for each in found.releases]
    told = {"definition": found.current.definition, "newest": found.newest, "releases": releases}
    return FlowOut.model_validate({**_members(found.current.version), **told})


def flow_page(found: Page[PublishedFlow]) -> FlowPage:
    """A page, as it is shown."""
    items = [ListedFlow.model_validate({**_members(each.current), "newest": each.newest}) for each in found.items]
    return FlowPage(items=items, next_cursor=found.next_cursor)


def _members(found: FlowVersion) -> Mapping[str, Any]:
    hidden: set[str] = {"id", "organisation_id"}
    return {name: getattr(found, name) for name in FlowVersion.__dataclass_fields__ if name not in hidden}
