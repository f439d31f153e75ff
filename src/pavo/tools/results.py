"""Long results of tools: they are kept as artifacts, and the agent gets an excerpt and a reference."""

from typing import Any, Final

from pavo.agents.calling.request import READ_ARTIFACT
from pavo.artifacts.domain import RESULTS, Artifact
from pavo.kit.json_values import encode_text

MAX_INLINE_BYTES: Final = 16_000
"""Of a result that is handed over as it is: a text in UTF-8, anything else as JSON."""
MAX_KEPT_BYTES: Final = 8_000_000
"""Of a result, where it can be kept as an artifact."""
EXCERPT: Final = 2_000
"""Characters of a long result that the agent gets at once."""


def is_short(value: Any) -> bool:
    """Whether a glance tells that a result is handed over as it is."""
    if isinstance(value, str):
        return 4 * len(value) <= MAX_INLINE_BYTES
    return value is None or isinstance(value, bool | int | float)


def long_content(value: Any) -> tuple[str, bytes] | None:
    """Media type and content of a result that is too long to be handed over; None: it is not."""
    text, media_type = (value, "text/plain") if isinstance(value, str) else (encode_text(value), "application/json")
    content = text.encode()
    return None if len(content) <= MAX_INLINE_BYTES else (media_type, content)


def result_name(call_id: object) -> str:
    """What the artifact is called."""
    return f"{RESULTS}{call_id}"


def reference(artifact: Artifact, content: bytes) -> dict[str, Any]:
    """What the agent gets instead: `ctx.artifacts.read(artifact, offset)` reads on, and a model by `read_artifact`."""
    excerpt = content[: 4 * EXCERPT].decode(errors="ignore")[:EXCERPT]
    offset = len(excerpt.encode())
    call = f'{READ_ARTIFACT}(name="{artifact.name}", offset={offset})'
    return {
        "artifact": str(artifact.id),
        "name": artifact.name,
        "media_type": artifact.media_type,
        "bytes": artifact.bytes,
        "excerpt": excerpt,
        "next_offset": offset,
        "read_on": f"This is the beginning of it alone. {call} reads on; any offset up to {artifact.bytes} will do.",
    }
