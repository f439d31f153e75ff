"""An agent of smolagents, in the worker and in a process; installed as a plug-in by `install`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from smolagents import Model, Tool, ToolCallingAgent, UserInputTool

from pavo import durable
from pavo.adapters import SmolAgent


def tell(folder: Path, what: str) -> None:
    with (folder / "told").open("a") as told:
        told.write(f"{what}\n")


class Weigh(Tool):
    """Weighs things."""

    name = "weigh"
    description = "What something weighs."
    inputs: ClassVar[Any] = {"what": {"type": "string", "description": "A thing."}}
    output_type = "object"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def forward(self, what: str) -> Any:
        tell(self.folder, f"weigh-{what}")
        return {what: "7 g"}


class Listen(Tool):
    """Holds while a test says so."""

    name = "listen"
    description = "What is to be heard."
    inputs: ClassVar[Any] = {"where": {"type": "string", "description": "A place."}}
    output_type = "string"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def forward(self, where: str) -> Any:
        tell(self.folder, f"listen-{where}")
        for _ in range(1500):
            if not (self.folder / "hold").exists():
                break
            time.sleep(0.02)
        return "a wren"


class Fails(Tool):
    """Fails."""

    name = "fails"
    description = "Fails."
    inputs: ClassVar[Any] = {"why": {"type": "string", "description": "A reason."}}
    output_type = "string"

    def forward(self, why: str) -> Any:
        raise ValueError(why)


@durable(effect="read")
def measured(folder: str, what: str) -> str:
    """A durable function, which a tool calls."""
    tell(Path(folder), f"measured-{what}")
    return "9 cm"


class Measure(Tool):
    """Calls through Pavo itself."""

    name = "measure"
    description = "How long something is."
    inputs: ClassVar[Any] = {"what": {"type": "string", "description": "A thing."}}
    output_type = "string"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def forward(self, what: str) -> Any:
        return measured(str(self.folder), what)


def orchestrator(folder: Path, users: list[str]) -> ToolCallingAgent:
    """One that weighs, and has another one listen."""
    models: list[Any] = [Model(user=user) for user in users]
    listener = ToolCallingAgent(
        [Listen(folder), Fails()], models[1], name="listener", description="Listens.", verbosity_level=0
    )
    tools = [Weigh(folder), Measure(folder), UserInputTool()]
    return ToolCallingAgent(tools, models[0], managed_agents=[listener], verbosity_level=0)


class Finches(SmolAgent):
    """Weighs, has another one listen, and asks."""

    name: ClassVar[str] = "finches"
    effects: ClassVar[Any] = {"listen": "idempotent", "fails": "read"}
    unrecorded: ClassVar[Any] = ("measure",)
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def build(self, ctx: Any) -> Any:
        return orchestrator(Path(ctx.options["folder"]), ctx.options.get("users", ["", ""]))


class FinchesInside(Finches):
    """The same in the worker."""

    name: ClassVar[str] = "finches_inside"
    isolation: ClassVar[Any] = "worker"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": {"finches": "Finches", "finches_inside": "FinchesInside"}})
