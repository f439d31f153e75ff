"""The exit codes of the command `pavo`, and how its process ends."""

import os
import sys
from typing import Final, NoReturn

from pavo import errors
from pavo.errors import PavoError

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
NOT_AVAILABLE: Final = 5
INTERRUPTED: Final = 130
UNREAD: Final = 141
"""Nobody reads the output any more. A shell shows the same code for a program that SIGPIPE ended."""

OF_ERRORS: Final[dict[type[PavoError], int]] = {
    errors.ConfigurationError: WRONG_USAGE,
    errors.InvalidInput: WRONG_USAGE,
    errors.NotFound: 3,
    errors.Conflict: 4,
    errors.Unavailable: NOT_AVAILABLE,
    PavoError: FAILED,
}
"""The nearest class in an error's tree decides."""


def exit_code(error: PavoError) -> int:
    """The exit code of an error."""
    return next(OF_ERRORS[kind] for kind in type(error).__mro__ if kind in OF_ERRORS)


def end_process(code: int) -> NoReturn:
    """End the process now, with everything printed.

    Temporal's client has threads of its own. One that still tries to reach a server that went away calls into an
    interpreter that is just ending, which aborts the process and loses its exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
