"""What tells that a worker does not take an attempt now."""

from typing import Final

FIRST_SECONDS: Final = 0.5
"""Until an attempt is offered again after it was handed back for the first time; each time twice as long."""


class HandedBack(Exception):
    """The worker does not take the attempt; nothing was done.

    Args:
        waits_for: for people.
        longest: seconds until it is offered again, at most.
    """

    def __init__(self, waits_for: str, longest: float) -> None:
        super().__init__(waits_for)
        self.waits_for = waits_for
        self.longest = longest

    def seconds(self, times: int) -> float:
        """Until it is offered again, the time with this number (from 1) after another."""
        return min(FIRST_SECONDS * 2.0 ** min(times - 1, 20), self.longest)
