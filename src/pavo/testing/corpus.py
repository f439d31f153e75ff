"""An organisation's documents in memory."""

import re
from collections.abc import Mapping, Sequence

from pavo.agents.contract import Hit

_WORD = re.compile(r"\w+")
_EXCERPT = 200


class MemoryCorpus:
    """Finds the documents that hold a word of the query; those with most of its words first."""

    def __init__(self, documents: Mapping[str, str] | None = None) -> None:
        self._documents = dict(documents or {})

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The best matching documents, best first."""
        wanted = _words(query)
        hits = [
            Hit(title, text[:_EXCERPT], len(wanted & _words(f"{title} {text}")) / max(1, len(wanted)))
            for title, text in self._documents.items()
        ]
        return sorted((hit for hit in hits if hit.rank > 0), key=lambda hit: -hit.rank)[:limit]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
