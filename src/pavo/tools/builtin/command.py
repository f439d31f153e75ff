"""The tool that runs commands."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from pavo.errors import ArtifactError, ToolFailed
from pavo.tools.contract import UNSAFE, ToolContext, tool

MAX_COMMAND_SECONDS = 1_800
MAX_KEPT_FILE = 64_000_000
"""Bytes of a file that is kept."""
_PIECE = 1024 * 1024


@tool(effect=UNSAFE, seconds=MAX_COMMAND_SECONDS + 60)
async def run_command(
    command: Annotated[str, Field(min_length=1, max_length=20_000, description="As a shell takes it: `make test`.")],
    ctx: ToolContext,
    seconds: Annotated[float, Field(gt=0, le=MAX_COMMAND_SECONDS, description="It is killed after so long.")] = 60,
    keep: Annotated[
        list[str] | None,
        Field(max_length=50, description="Files that it makes and that are to be kept, such as `out/report.csv`."),
    ] = None,
) -> dict[str, Any]:
    """Run a shell command in the task's workspace, without standard input. Answers its `exit_code`, `output` (standard
    output and errors), how it `ended`, its `seconds` and what it was `confined` to. What it starts in the background is
    killed when it ends. Files that it makes are scratch, unless `keep` names them."""
    for name, text in (("command", command), *(("keep", path) for path in keep or ())):
        if "\0" in text or not _is_unicode(text):
            remedy = "Take that character out; nothing was run."
            raise ToolFailed(f"{name}: it has a NUL, or half of a character.", remedy=remedy)
    ran = await ctx.services.run_command(command, seconds)
    told = asdict(ran)
    kept = {path: _keep(ctx, path) for path in keep or ()}
    return {**told, **({"kept": kept} if kept else {})}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _keep(ctx: ToolContext, path: str) -> str:
    """Keep a file; what is told of it."""
    try:
        size = ctx.workspace.size(path)
        if size > MAX_KEPT_FILE:
            return f"not kept: it has {size:,} bytes"
        data = bytearray()
        while len(data) < size and (piece := ctx.workspace.read(path, len(data), _PIECE)):
            data += piece
        ctx.workspace.write(path, bytes(data))
    except ArtifactError as error:
        return f"not kept: {error.detail}"
    except (OSError, ValueError) as error:
        return f"not kept: {error}"
    return f"{len(data):,} bytes"
