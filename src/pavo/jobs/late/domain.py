"""What has become of late work: of the changes that a lost attempt left at its agent."""

from typing import Final

OWED: Final = "owed"
"""Its agent is to push them to the fenced branch, and has not."""
KEPT: Final = "kept"
NOTHING: Final = "nothing"
"""There were none."""
GONE: Final = "gone"
"""They are not on the agent's machine any more."""
DECLINED: Final = "declined"

MAX_REASON: Final = 2_000
"""Characters of why late work was not kept yet."""
