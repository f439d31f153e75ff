"""What is to be started, as it is asked for."""

from pydantic import BaseModel

from pavo.errors import InvalidInput
from pavo.starts.schemas import StartsIn


def named(starts: StartsIn) -> tuple[str, BaseModel]:
    """The kind of what is to be started, and what it says.

    Raises:
        InvalidInput: it is not exactly one.
    """
    found: dict[str, BaseModel] = {name: body for name, body in starts if body is not None}
    if len(found) != 1:
        remedy = f"Name exactly one of {', '.join(StartsIn.model_fields)}."
        raise InvalidInput(f"It says {len(found)} things to start.", field="starts", remedy=remedy)
    [(kind, body)] = found.items()
    return kind, body
