"""The tools of `test_kills`: each tells when it begins and when it is done; installed as a plug-in by `install`."""

import os
import time
from pathlib import Path

from pavo.tools.contract import ToolContext, tool

FOLDER = Path(os.environ.get("LLM_KILLS_FOLDER", "/nonexistent"))
SECONDS = 0.15


def _tell(what: str, ctx: ToolContext) -> None:
    with (FOLDER / "told").open("a") as told:
        told.write(f"{what} {ctx.idempotency_key}\n")


@tool(effect="read")
def look(n: int, ctx: ToolContext) -> str:
    """Look."""
    _tell("look", ctx)
    time.sleep(SECONDS)
    return f"looked {n}"


@tool(effect="idempotent")
def put(n: int, ctx: ToolContext) -> str:
    """Put."""
    _tell("put", ctx)
    time.sleep(SECONDS)
    return f"put {n}"


@tool(effect="unsafe")
def pay(n: int, ctx: ToolContext) -> str:
    """Pay."""
    _tell("pay", ctx)
    time.sleep(SECONDS)
    return f"paid {n}"


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module

    install_module(folder, Path(__file__), {"pavo.tools": {name: name for name in ("look", "put", "pay")}})
