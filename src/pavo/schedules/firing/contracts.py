"""What the workflow of a schedule's firing and its activity say to each other."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from temporalio import activity

FIRE_TYPE: Final = "FireSchedule"


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Of which version of a schedule a mirror in Temporal is; the argument of its workflows."""

    schedule_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A time of a schedule has come."""

    schedule_id: str
    version: int
    nominal_at: datetime
    """Without jitter."""


class FiringActivities(ABC):
    """The short writes of a firing."""

    @activity.defn(name="fire_schedule")
    @abstractmethod
    async def fire(self, fired: Fired) -> None:
        """Write the firing down, once however often it is told, and begin what is due."""
