"""How git, checks and forges fail: each with a kind, a cause, a remedy, and whether another try may help."""

import errno
from typing import Final

from pavo.kit.texts.storable import storable
from pavo.remote.work import CommandFailed

NO_SPACE: Final = "NoSpace"
CLONE_FAILED: Final = "CloneFailed"
BRANCH_MISSING: Final = "BranchMissing"
BAD_REPOSITORY: Final = "BadRepository"
CREDENTIAL_REFUSED: Final = "CredentialRefused"
PUSH_REFUSED: Final = "PushRefused"
PREPARE_FAILED: Final = "PrepareFailed"
WORKSPACE_LOST: Final = "WorkspaceLost"
GIT_FAILED: Final = "GitFailed"
FORGE_REFUSED: Final = "ForgeRefused"
FORGE_AWAY: Final = "ForgeAway"

MAX_CAUSE: Final = 2_000
"""Characters that the job's row takes."""
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT))


def failed(kind: str, cause: str, remedy: str = "", *, retryable: bool = False) -> CommandFailed:
    """For one of the kinds above."""
    return CommandFailed(storable(cause, MAX_CAUSE), kind=kind, remedy=remedy, retryable=retryable)


def no_space(where: str) -> CommandFailed:
    """The disk of the agent, or its share of it, is full."""
    return failed(
        NO_SPACE,
        f"The agent has no space left: {where}.",
        "Make space on the agent's machine, or raise its disk quota; `pavo agent doctor` shows both.",
        retryable=True,
    )


def of_system(error: OSError, what: str) -> CommandFailed:
    """What the operating system refused."""
    if error.errno in _FULL:
        return no_space(f"{what}: {error.strerror}")
    return failed(GIT_FAILED, f"{what}: {error.strerror or error}.", "Look at the agent's machine.")
