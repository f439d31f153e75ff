"""The row that people read of a run: the columns of its fence, and how a write is compared with them."""

from sqlalchemy import Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from pavo.runs.fence import Fence


class FencedRow:
    """Mixed into the table of a kind. The row is locked while it is compared and written."""

    run_id: Mapped[str | None] = mapped_column(Text)
    """Temporal's run that wrote last."""
    generation: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often the work was started or resumed. With `transition` the fence of every write to this row."""
    transition: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Number of the last write within the generation; a write with no higher number came too late."""


def is_newer(fence: Fence, row: FencedRow) -> bool:
    """Whether the write with this number is newer than the row: none with this or a higher number has happened."""
    return fence.number > (row.generation, row.transition)


def is_latest(fence: Fence, row: FencedRow) -> bool:
    """Whether the write with exactly this number was the last."""
    return fence.number == (row.generation, row.transition)


def after(row: FencedRow) -> Fence:
    """The next write of the run that wrote last, for whoever writes in the place of a run that is gone."""
    return Fence(row.run_id or "", row.generation, row.transition + 1)
