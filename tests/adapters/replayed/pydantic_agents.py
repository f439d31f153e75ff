"""An agent of pydantic-ai, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic_ai import Agent, DeferredToolRequests, RunContext

from pavo.adapters import PydanticAgent, working_for

orchestrator = Agent(output_type=[str, DeferredToolRequests], deps_type=Path, instructions="Weigh birds.")


def tell(folder: Path, what: str) -> None:
    with (folder / "told").open("a") as told:
        told.write(f"{what}\n")


@orchestrator.tool
def weigh(ctx: RunContext[Path], what: str) -> dict[str, str]:
    """What something weighs."""
    tell(ctx.deps, f"weigh-{what}")
    return {what: "7 g"}


@orchestrator.tool
async def listen(ctx: RunContext[Path], where: str) -> str:
    """What is to be heard; holds while a test says so."""
    tell(ctx.deps, f"listen-{where}")
    for _ in range(1500):
        if not (ctx.deps / "hold").exists():
            break
        await asyncio.sleep(0.02)
    return "a wren"


@orchestrator.tool_plain
async def color(of: str) -> str:
    """The color of something, as people say."""
    return await working_for().ask(f"color-{of}", f"Which color has {of}?")


@orchestrator.tool(requires_approval=True)
def publish(ctx: RunContext[Path], text: str) -> str:
    """Publish it."""
    tell(ctx.deps, f"publish-{text}")
    return "published"


@orchestrator.tool_plain
def fails(why: str) -> str:
    """Fails."""
    raise ValueError(why)


class Birds(PydanticAgent):
    """Weighs, listens, asks and publishes."""

    name: ClassVar[str] = "birds"
    wraps: ClassVar[Any] = orchestrator
    effects: ClassVar[Any] = {"listen": "idempotent", "fails": "read"}
    unrecorded: ClassVar[Any] = ("color",)
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def arguments(self, ctx: Any) -> Mapping[str, Any]:
        settings = {"openai_user": ctx.options.get("users", [""])[0]}
        return {"deps": Path(ctx.options["folder"]), "model_settings": settings}


class BirdsInside(Birds):
    """The same in the worker."""

    name: ClassVar[str] = "birds_inside"
    isolation: ClassVar[Any] = "worker"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": {"birds": "Birds", "birds_inside": "BirdsInside"}})
