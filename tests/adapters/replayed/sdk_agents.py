"""An agent of the OpenAI Agents SDK, in the worker and in a process; installed as a plug-in by `install`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from agents import Agent, ModelSettings, RunConfig, RunContextWrapper, function_tool
from pavo.adapters import OpenAIAgent


def tell(folder: Path, what: str) -> None:
    with (folder / "told").open("a") as told:
        told.write(f"{what}\n")


@function_tool
def weigh(ctx: RunContextWrapper[Path], what: str) -> str:
    """What something weighs."""
    tell(ctx.context, f"weigh-{what}")
    return "7 g"


@function_tool
async def listen(ctx: RunContextWrapper[Path], where: str) -> str:
    """What is to be heard; holds while a test says so."""
    tell(ctx.context, f"listen-{where}")
    for _ in range(1500):
        if not (ctx.context / "hold").exists():
            break
        await asyncio.sleep(0.02)
    return "a wren"


@function_tool(needs_approval=True)
def publish(ctx: RunContextWrapper[Path], text: str) -> str:
    """Publish it."""
    tell(ctx.context, f"publish-{text}")
    return "published"


publisher = Agent[Path](name="publisher", instructions="Publish it.", tools=[publish])
weigher = Agent[Path](name="weigher", instructions="Weigh birds.", tools=[weigh, listen], handoffs=[publisher])


class Sdk(OpenAIAgent):
    """Weighs, listens, hands off, and publishes."""

    name: ClassVar[str] = "sdk"
    wraps: ClassVar[Any] = weigher
    effects: ClassVar[Any] = {"listen": "idempotent"}
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def arguments(self, ctx: Any) -> Mapping[str, Any]:
        settings = ModelSettings(extra_body={"user": ctx.options.get("users", [""])[0]})
        return {"context": Path(ctx.options["folder"]), "run_config": RunConfig(model_settings=settings)}


class SdkInside(Sdk):
    """The same in the worker."""

    name: ClassVar[str] = "sdk_inside"
    isolation: ClassVar[Any] = "worker"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": {"sdk": "Sdk", "sdk_inside": "SdkInside"}})
