"""Under which epoch what an agent asks for is recorded."""

from dataclasses import dataclass

from pavo.errors import Unavailable


@dataclass(slots=True)
class HeldEpoch:
    """The epoch of the attempt that an agent works for: one that is parked goes on under another."""

    epoch: int


def attempt_is_over() -> Unavailable:
    """What is told to an agent whose attempt holds the task no more."""
    return Unavailable("The attempt is over: a newer one may have begun.", dependency="lease")
