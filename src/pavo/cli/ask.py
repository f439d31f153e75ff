"""Whom and what a command means: its data directory, and a person's word."""

import sys
from pathlib import Path

from pavo.deploy.model.layout import Layout, default_data_dir
from pavo.errors import ConfigurationError


def layout_of(data_dir: Path | None) -> Layout:
    """The data directory that a command means."""
    return Layout((data_dir or default_data_dir()).absolute())


def confirm(question: str, *, option: str = "--auto-approve") -> bool:
    """Ask a person, on the error stream: standard output may have to carry a document alone.

    Args:
        option: of the command, which answers without asking.

    Raises:
        ConfigurationError: nobody can be asked here.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError("Nobody can be asked here.", field=option, remedy=f"Pass {option}.")
    sys.stderr.write(f"{question} Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"
