"""Which versions of the protocol work together."""

from typing import Final

PROTOCOL: Final = 1
"""Of this build."""
OLDEST: Final = 1
"""That this build still speaks; an older side is told to upgrade."""


def refusal(other: int, whose: str) -> str:
    """Why a side of this version is refused; empty where it is not.

    Args:
        whose: "agent" or "gateway", the other side.
    """
    if other < OLDEST:
        return (
            f"The {whose} speaks version {other} of the protocol; here {OLDEST} to {PROTOCOL} are spoken. Upgrade it."
        )
    return ""
