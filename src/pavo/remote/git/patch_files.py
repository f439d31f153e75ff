"""Files beside an attempt's worktree: its patch while it is sent, and the mark of the one that was sent last."""

import contextlib
from pathlib import Path
from typing import Final

from pavo.remote.errands.failures import of_system

PATCH: Final = ".patch"
SENT: Final = ".sent"
SUFFIXES: Final = (PATCH, SENT)


class PatchFiles:
    """Of one attempt.

    Args:
        note: the attempt's file, beside which they lie.
    """

    def __init__(self, note: Path) -> None:
        self.place, self._sent = note.with_suffix(PATCH), note.with_suffix(SENT)

    def write_note(self, text: str) -> None:
        """What stands in the place of a patch.

        Raises:
            CommandFailed: it cannot be written.
        """
        try:
            self.place.write_text(text, errors="replace")
        except OSError as error:
            raise of_system(error, "The patch cannot be written") from error

    def forget(self) -> None:
        """Remove the patch."""
        with contextlib.suppress(OSError):
            self.place.unlink(missing_ok=True)

    @property
    def sent(self) -> str:
        """The mark of the patch that the gateway has; empty: of none since the program began last."""
        with contextlib.suppress(OSError):
            return self._sent.read_text()
        return ""

    def note_sent(self, mark: str) -> None:
        """The gateway has the patch of this mark; empty: a program begins, and changes more."""
        with contextlib.suppress(OSError):  # it is sent once more
            self._sent.write_text(mark)
