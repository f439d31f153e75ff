"""Tools for the files of the task's workspace."""

import base64
import binascii
from typing import Any, Literal

from pavo.errors import ArtifactError
from pavo.tools.contract import IDEMPOTENT, READ, ToolContext, tool

MAX_LISTED = 1_000
DEFAULT_LENGTH = 12_000
MOST_LENGTH = 256_000


@tool(effect=READ)
def list_files(ctx: ToolContext, under: str = "") -> dict[str, Any]:
    """The files in the workspace, with their bytes, at most 1,000; `more` says whether there are others.

    Args:
        under: a folder of the workspace, such as `src`; empty: all.
    """
    found = ctx.workspace.files(under, MAX_LISTED + 1)
    listed = [{"path": each.path, "bytes": each.bytes} for each in found[:MAX_LISTED]]
    return {"files": listed, "more": len(found) > MAX_LISTED}


@tool(effect=READ)
def read_file(path: str, ctx: ToolContext, offset: int = 0, length: int = DEFAULT_LENGTH) -> dict[str, Any]:
    """A part of a file: its text as `content`, or `base64` where it is no text; `next_offset` where there is more.

    Args:
        path: in the workspace, such as `src/main.py`.
        offset: the first byte.
        length: bytes, at most 256,000.
    """
    size = ctx.workspace.size(path)
    data = ctx.workspace.read(path, offset, min(length, MOST_LENGTH))
    text, taken = text_of(data, at_end=offset + len(data) >= size)
    told: dict[str, Any] = {"path": path, "bytes": size}
    if text is None:
        told["base64"] = base64.b64encode(data).decode()
    else:
        told["content"] = text
    if offset + taken < size and taken:
        told["next_offset"] = offset + taken
    return told


@tool(effect=IDEMPOTENT)
def write_file(
    path: str, content: str, ctx: ToolContext, encoding: Literal["utf-8", "base64"] = "utf-8"
) -> dict[str, Any]:
    """Write a file of the workspace, with the folders above it; one that is there is replaced. It is kept.

    Args:
        path: in the workspace, such as `notes/today.md`.
        content: the whole content.
        encoding: base64: content is bytes in base64.
    """
    try:
        data = content.encode() if encoding == "utf-8" else base64.b64decode(content, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ArtifactError(f"content: it is no {encoding}: {error}.", field="content") from error
    ctx.workspace.write(path, data)
    return {"path": path, "bytes": len(data)}


def text_of(data: bytes, *, at_end: bool) -> tuple[str | None, int]:
    """The text, without a last character of which a part lacks, and how many bytes it takes; None: it is no text."""
    if b"\0" in data:
        return None, len(data)
    for cut in range(1 if at_end else 4):
        part = data[: len(data) - cut]
        try:
            return part.decode(), len(part)
        except UnicodeDecodeError as error:
            if error.end < len(part):
                break
    return None, len(data)
