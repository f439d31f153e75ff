"""The deployment's keys for what agents have signed; they stay in the worker."""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from typing import Final

from pavo.agents.signing.request import DIGEST, NoSignatures, Signatures

_PURPOSE: Final = b"pavo: state of agents"
"""Makes another key of each: none signs by the very key that signs sessions."""
_VERSION: Final = "1:"


class SigningKeys:
    """The keys of a deployment.

    Args:
        keys: the first signs; what any of them has signed holds, so that one may be replaced
            while tasks are under way.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(key, _PURPOSE, "sha256") for key in keys]

    def of(self, task_id: uuid.UUID, agent: str) -> Signatures:
        """Who signs for this task and the agent of this name."""
        return _OfTask(self._keys, task_id, agent) if self._keys else NoSignatures()


class _OfTask:
    def __init__(self, keys: Sequence[bytes], task_id: uuid.UUID, agent: str) -> None:
        self._keys, self._of = keys, f"{task_id}\n{agent}"

    async def sign(self, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise ValueError("no SHA-256 in hex")
        return self._signature(self._keys[0], digest)

    async def check(self, digest: str, signature: str) -> bool:
        given = signature.encode(errors="replace")
        return any(hmac.compare_digest(self._signature(key, digest).encode(), given) for key in self._keys)

    def _signature(self, key: bytes, digest: str) -> str:
        return _VERSION + hmac.new(key, f"{digest}\n{self._of}".encode(), hashlib.sha256).hexdigest()
