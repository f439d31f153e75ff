"""The tool by which models read on what was too long to be shown to them at once."""

from typing import Annotated, Any, Final

from pydantic import Field

from pavo.artifacts.domain import ArtifactPart
from pavo.errors import ArtifactError
from pavo.kit.json_values import encode_text
from pavo.tools.builtin.files import text_of
from pavo.tools.contract import READ, ToolContext, tool

DEFAULT_CHARACTERS: Final = 8_000
MOST_CHARACTERS: Final = 12_000
MOST_BYTES: Final = 14_500
"""Of the text as JSON: with the rest it stays below what is itself kept as an artifact."""
LONGEST_CHARACTER: Final = 4
"""Bytes of one in UTF-8."""


@tool(effect=READ, seconds=30)
async def read_artifact(
    name: Annotated[str, Field(min_length=1, max_length=400, description="As a shortened result tells it.")],
    ctx: ToolContext,
    offset: Annotated[int, Field(ge=0, lt=2**53, description="The first byte: 0, or a next_offset.")] = 0,
    characters: Annotated[int, Field(ge=1, description="How many at most; 12,000 is the most.")] = DEFAULT_CHARACTERS,
) -> dict[str, Any]:
    """Read on in a text that this task keeps, such as a result that was too long to be shown: its `text` from byte
    `offset` on, and `next_offset` where there is more."""
    wanted = min(characters, MOST_CHARACTERS)
    part = await ctx.services.artifact(name, offset, LONGEST_CHARACTER * (wanted + 1))
    if offset > part.size:
        raise ArtifactError(f"{part.name} has {part.size:,} bytes: there is nothing at {offset:,}.", field="offset")
    start, text = _text(part, offset)
    text = _bounded(text[:wanted])
    end = start + len(text.encode())
    told: dict[str, Any] = {"name": part.name, "bytes": part.size, "offset": start, "text": text}
    return {**told, "next_offset": end} if end < part.size else told


def _text(part: ArtifactPart, offset: int) -> tuple[int, str]:
    """Where the first whole character begins, and the text from there on."""
    head, _ = text_of(part.head, at_end=len(part.head) >= part.size)
    skipped = 0
    while skipped < min(LONGEST_CHARACTER - 1, len(part.data)) and part.data[skipped] & 0xC0 == 0x80:
        skipped += 1
    data = part.data[skipped:]
    text, _ = text_of(data, at_end=offset + len(part.data) >= part.size)
    if head is None or text is None:
        raise ArtifactError(
            f"{part.name} is no text in UTF-8 ({part.media_type}, {part.size:,} bytes), and only text can be read.",
            field="name",
            remedy="Go on without it: people can download it.",
        )
    return offset + skipped, text


def _bounded(text: str) -> str:
    while (size := len(encode_text(text).encode())) > MOST_BYTES:
        text = text[: min(len(text) - 1, len(text) * MOST_BYTES // size)]
    return text
