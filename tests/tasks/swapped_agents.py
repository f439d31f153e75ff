"""An agent whose distribution is replaced by another version while it works; installed as pip would by `install`."""

import shutil
from pathlib import Path

_AGENT = '''
import asyncio
import importlib
from pathlib import Path
from typing import ClassVar

from pavo.agents.contract import Agent, PlanDraft, PlanStep, Revision, Step


class Swapped(Agent):
    """Step after step when the file `options.go` has that many letters; says which version does each."""

    name: ClassVar[str] = "swapped"
    isolation: ClassVar = "process"
    options_schema = {"type": "object", "properties": {"go": {}, "steps": {}}}

    async def plan(self, ctx):
        return PlanDraft("Swap.", [PlanStep("Swap")])

    async def revise(self, ctx, plan, feedback):
        return Revision(PlanDraft("Swap.", plan.steps), {item.id: "yes" for item in feedback})

    async def execute(self, ctx, plan, checkpoint):
        for number in range(len(checkpoint or "") + 1, ctx.options["steps"] + 1):
            while len(Path(ctx.options["go"]).read_text()) < number and not ctx.cancelled.is_set():
                await asyncio.sleep(0.02)
            if ctx.cancelled.is_set():
                return
            part = importlib.import_module(f"swapped_agents.part_VERSION_{number}")  # only now, of the same version
            checkpoint = (checkpoint or "") + part.version()
            yield Step(checkpoint)

    async def report(self, ctx, plan, checkpoint):
        return checkpoint


class SwappedInside(Swapped):
    name: ClassVar[str] = "swapped_inside"
    isolation: ClassVar = "worker"
'''


def remove(folder: Path) -> None:
    """As `pip uninstall` does."""
    shutil.rmtree(folder / "swapped_agents")
    for info in folder.glob("swapped_agents-*.dist-info"):
        shutil.rmtree(info)


def install(folder: Path, version: str) -> None:
    """As `pip install` does; the version is a letter."""
    package, info = folder / "swapped_agents", folder / f"swapped_agents-1.0{version}.dist-info"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_AGENT.replace("VERSION", version))
    for number in range(1, 5):
        (package / f"part_{version}_{number}.py").write_text(f"def version():\n    return {version!r}\n")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: swapped-agents\nVersion: 1.0{version}\n")
    agents = "swapped = swapped_agents:Swapped\nswapped_inside = swapped_agents:SwappedInside\n"
    (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}")
    (info / "RECORD").write_text("")
