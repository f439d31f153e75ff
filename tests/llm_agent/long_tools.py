"""The tool of `test_long`: 4 KB a call, and a word in the last one; installed as a plug-in by `install`."""

import os
import uuid
from collections import Counter
from pathlib import Path

from pavo.tools.contract import ToolContext, tool

_made: Counter[uuid.UUID] = Counter()


@tool(effect="read")
def page(last: int, ctx: ToolContext) -> str:
    """The next page."""
    _made[ctx.task_id] += 1
    end = "that was the last page" if _made[ctx.task_id] >= last else "there are more"
    return f"{os.urandom(2_000).hex()}\n{end}"


def install(folder: Path) -> None:
    """Make a plug-in of it in `folder`."""
    from tests.plug_ins import install_module

    install_module(folder, Path(__file__), {"pavo.tools": {"page": "page"}})
