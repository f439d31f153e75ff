"""Which tools agents may call: what the live workers have."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pavo.agents.announced.groups import Group, first_error, grouped, usable
from pavo.tools.announced.announcement import AnnouncedTool, ToolsAnnouncement
from pavo.tools.announced.schemas import ToolAtWorkers, ToolHealth, ToolList, ToolOut
from pavo.tools.contract import Effect
from pavo.tools.policies.domain import stricter_effect


def available(live: tuple[int, Sequence[ToolsAnnouncement]] | None, effects: Mapping[str, str]) -> ToolList:
    """All tools that the live workers have, and organisations speak of, by name.

    Args:
        live: as `Announcements.live` answers.
        effects: what the caller's organisation says of tools.
    """
    if live is None:
        return ToolList(items=[], detail="Redis does not answer, so nobody knows which tools the workers have.")
    groups = grouped((each.build, each.tools) for each in live[1])
    items = [_out(name, groups.get(name, []), live[0], effects.get(name)) for name in sorted({*groups, *effects})]
    if not live[0]:
        return ToolList(items=items, detail="No worker is there.")
    untold = live[0] - len(live[1])
    told = f"{untold} of {live[0]} workers have not told which tools they have." if untold > 0 else None
    return ToolList(items=items, detail=told)


def _out(name: str, groups: Sequence[Group[AnnouncedTool]], workers: int, word: str | None) -> ToolOut:
    shown = groups[0].said if groups else AnnouncedTool(name=name, version="")
    health, detail = _health(groups, workers)
    counts_as = stricter_effect(cast(Effect, shown.effect), cast("Effect | None", word))
    schema: Mapping[str, Any] | None = shown.parameters
    return ToolOut(
        name=name,
        version=shown.version,
        description=shown.description,
        effect=shown.effect,
        counts_as=counts_as,
        seconds=shown.seconds,
        parameters=None if schema is None else dict(schema),
        health=health,
        detail=detail,
        workers=usable(groups),
        at_workers=[_at_workers(group) for group in groups],
    )


def _at_workers(group: Group[AnnouncedTool]) -> ToolAtWorkers:
    return ToolAtWorkers(
        version=group.said.version,
        workers=len(group.builds),
        builds=sorted({build for build in group.builds if build}),
        error=group.said.error,
    )


def _health(groups: Sequence[Group[AnnouncedTool]], workers: int) -> tuple[ToolHealth, str | None]:
    able, error = usable(groups), first_error(groups)
    if not groups:
        return "no_worker", "No worker has it."
    if not able:
        return "broken", f"No worker can use it: {error}"
    if able < workers:
        return "partly", f"{able} of {workers} workers can use it." + (f" Elsewhere: {error}" if error else "")
    versions = sorted({group.said.version for group in groups})
    return "ready", f"Workers have several versions: {', '.join(versions)}." if len(versions) > 1 else None
