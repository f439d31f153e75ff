"""What an agent may have signed, and who signs it: the worker. No agent's process has the key."""

import re
from typing import Final, Protocol

from pavo.errors import AgentRefused

DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
"""SHA-256, in hex, of what is signed: the content itself stays with the agent."""
MAX_SIGNATURE: Final = 200
"""Characters of a signature."""


class Signatures(Protocol):
    """Signs for one task and its agent: what another one has signed does not hold."""

    async def sign(self, digest: str) -> str:
        """A signature under content with this SHA-256 (64 hex digits).

        Raises:
            AgentRefused: there is no key.
        """
        ...

    async def check(self, digest: str, signature: str) -> bool:
        """Whether this deployment has signed it, for this task and this agent.

        Raises:
            AgentRefused: there is no key.
        """
        ...


class NoSignatures:
    """Where there is no key."""

    async def sign(self, digest: str) -> str:
        """Raises: there is none."""
        raise no_key()

    async def check(self, digest: str, signature: str) -> bool:
        """Raises: there is none."""
        raise no_key()


def no_key() -> AgentRefused:
    """The refusal of a worker that cannot sign."""
    return AgentRefused(
        "This worker has no key to sign an agent's state with.",
        remedy="Give every worker PAVO_SECRET_KEY, as the API has it, restart them, then resume the task.",
    )
