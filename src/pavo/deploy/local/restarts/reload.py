"""Workers are started again when the files of agents change, for who writes one: `pavo up --reload`.

Files are looked at again and again: this works on every file system, and needs no package. A worker that is asked to
end records its steps and hands its tasks on, so nothing is cut.
"""

import asyncio
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pavo.deploy.local.restarts.one_part import restart_part
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.progress import Say
from pavo.errors import Unavailable

logger = logging.getLogger(__name__)

GROUP: Final = "pavo.agents"
"""Of entry points; `agents.registry` reads the same."""
OWN: Final = "pavo"
LOOK_SECONDS: Final = 0.5
SUFFIXES: Final = frozenset({".py", ".md", ".txt", ".toml", ".json", ".yaml", ".yml", ".jinja", ".j2"})
"""Code, and what prompts are written in."""
MAX_FILES: Final = 5_000
"""Of all agents; beyond it a package is more than an agent, and the rest is not looked at."""

Stamps: TypeAlias = Mapping[Path, tuple[int, int]]
"""When each file was changed, in nanoseconds, and its size."""


@dataclass(slots=True)
class Reload:
    """Restarts the workers of a stack when something has changed, and what changed stays as it is for a moment."""

    supervisor: Supervisor
    say: Say

    async def run(self) -> None:
        """Until cancelled."""
        running = await asyncio.to_thread(stamps)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(stamps)
            if now == running:
                continue
            now = await _settled(now)
            changed = sorted(path for path in running.keys() | now.keys() if running.get(path) != now.get(path))
            running = now
            try:
                await self._take_over(changed)
            except Exception:
                logger.exception("The workers could not be started again; the next change tries it once more")

    async def _take_over(self, changed: Sequence[Path]) -> None:
        wrong = await asyncio.to_thread(_first_wrong, changed)
        if wrong:
            self.say(f"! {wrong}: the workers go on with the code before.")
        elif changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            self.say(f"{changed[0]}{more} changed: the workers are started again.")
            await self._restart_workers()

    async def _restart_workers(self) -> None:
        """One after the other, as people restart them; the spare one has the code of before and goes first."""
        for part in self.supervisor.states():
            if kind_of(part.name).name == "worker":
                try:
                    await restart_part(self.supervisor, part.name)
                except Unavailable as error:  # it died just now, and begins with the new code
                    logger.info("%s is not asked to end: %s", part.name, error.detail)
        self.say("The workers have the new code.")


async def _settled(seen: Stamps) -> Stamps:
    """What is there once nothing has changed for a moment: editors and tools write several files, one after the
    other."""
    while True:
        await asyncio.sleep(LOOK_SECONDS / 2)
        now = await asyncio.to_thread(stamps)
        if now == seen:
            return now
        seen = now


def stamps() -> Stamps:
    """Of the files of every installed agent that is not one of Pavo's own."""
    found: dict[Path, tuple[int, int]] = {}
    for place in _places():
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.suffix not in SUFFIXES or "__pycache__" in file.parts:
                continue
            if len(found) == MAX_FILES:
                return found
            try:
                status = file.stat()
            except OSError:  # gone meanwhile
                continue
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _places() -> list[Path]:
    """The package of each agent, or its module where that is no package. Nothing is imported."""
    importlib.invalidate_caches()
    names = {point.module.partition(".")[0] for point in importlib.metadata.entry_points(group=GROUP)} - {OWN}
    places: list[Path] = []
    for name in sorted(names):
        try:
            spec = importlib.util.find_spec(name) if name not in sys.modules else sys.modules[name].__spec__
        except (ImportError, ValueError):
            continue
        if spec is not None and spec.submodule_search_locations:
            places += [Path(place) for place in spec.submodule_search_locations]
        elif spec is not None and spec.origin:
            places.append(Path(spec.origin))
    return places


def _first_wrong(changed: Sequence[Path]) -> str:
    """The first file that is no Python yet, and where; empty when all are."""
    for path in changed:
        if path.suffix == ".py" and path.exists():
            try:
                compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                return f"{path}: {error}"
            except OSError:
                continue
    return ""
