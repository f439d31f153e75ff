"""A tool that answers 100 KB, and the agent `llm` in a process of its own; installed as a plug-in by `install`."""

from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.llm_agent.agent import LlmAgent
from pavo.tools.contract import tool

LINE = "Nichts für uns, Zeile um Zeile.\n"
WORD = "kingfisher"
TEXT = f"{LINE * 1_500}The word is {WORD}.\n{LINE * 1_500}"


@tool(effect="read")
def archive() -> str:
    """All that there is."""
    return TEXT


class ApartLlm(LlmAgent):
    """The same agent, isolated."""

    name: ClassVar[str] = "llm_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module

    declared = {"pavo.tools": {"archive": "archive"}, "pavo.agents": {"llm_apart": "ApartLlm"}}
    install_module(folder, Path(__file__), declared)
