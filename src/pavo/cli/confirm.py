"""Asking a person before something is done that cannot be taken back."""

import sys

from pavo.errors import ConfigurationError
from pavo.observe.printable import printable_line


def confirm(*questions: str, approved: bool) -> bool:
    """Ask one question after the other, on the error stream: standard output may have to carry a document alone.

    Args:
        approved: the command's parameter `Approved`; if true, nothing is asked.

    Returns: whether each was answered with yes; after a no nothing more is asked.

    Raises:
        ConfigurationError: nobody can be asked here.
    """
    if approved:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError("Nobody can be asked here.", field="--yes", remedy="Pass --yes (or --auto-approve).")
    return all(_says_yes(question) for question in questions)


def _says_yes(question: str) -> bool:
    sys.stderr.write(f"{printable_line(question)} Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"
