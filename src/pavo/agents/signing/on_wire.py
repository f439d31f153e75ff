"""Signatures between a worker and an agent's process: a digest goes there, a signature or a yes comes back."""

from collections.abc import Coroutine
from typing import Any

from pavo.agents.signing.request import DIGEST, MAX_SIGNATURE, Signatures


def look_up_signature(message: dict[str, Any], signatures: Signatures) -> Coroutine[Any, Any, Any]:
    """What the child asks for.

    Raises:
        TypeError, LookupError: it is no question; before anything is done.
    """
    digest, signature = message["digest"], message["signature"]
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise TypeError("no digest")
    if signature is None:
        return signatures.sign(digest)
    if not isinstance(signature, str) or len(signature) > MAX_SIGNATURE:
        raise TypeError("no signature")
    return signatures.check(digest, signature)
