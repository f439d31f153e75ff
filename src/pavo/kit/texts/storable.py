"""Text of others, made such that PostgreSQL can store it."""


def storable(text: str, limit: int = 2000) -> str:
    """`text` as PostgreSQL can store it, at most `limit` characters: for messages, which are not worth a refusal."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
