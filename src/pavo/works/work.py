"""What can be done by a task, a job or the like, so that whoever has it done need not know by which."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from pavo.accounts.domain import Identity
from pavo.errors import InvalidInput

T = TypeVar("T", bound=BaseModel)
Stages: TypeAlias = Callable[[Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, str]]]
GONE: Final = "gone"
"""The outcome of what was deleted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of work that is over."""

    stage: str
    output: Any = None
    """What it gave, where it succeeded."""
    error: str | None = None
    """Why it did not."""


class Work(Protocol):
    """One kind of what schedules start. Somebody acts in the organisation that is their home in their identity."""

    async def check(self, who: Identity, body: BaseModel) -> None:
        """See whether one could be made.

        Raises:
            InvalidInput, TooLarge, NotFound: what it would be refused for.
        """
        ...

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """Make one; with the same key it is the same one."""
        ...

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Begin it; one that was begun stays as it is."""
        ...

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Where these are; those that are gone are left out."""
        ...

    def is_over(self, stage: str) -> bool:
        """Whether nothing goes on in this stage."""
        ...

    async def outcome(self, who: Identity, subject_id: uuid.UUID) -> Outcome:
        """What came of one that is over.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Have it end; one that is over stays as it is."""
        ...


def read_body(model: type[T], body: Mapping[str, Any]) -> T:
    """What is kept of a schedule, as it is asked for.

    Raises:
        InvalidInput: it is none any more.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        remedy = "Change the schedule: say again what it is to start."
        raise InvalidInput(f"What is to be started is none any more: {error}", field="starts", remedy=remedy) from error


def acting_in(who: Identity, organisation_id: uuid.UUID) -> Identity:
    """The same person; what they make is this organisation's."""
    return replace(who, organisation_id=organisation_id)
