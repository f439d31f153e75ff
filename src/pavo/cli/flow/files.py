"""Files of flows, as commands read them."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.errors import InvalidInput
from pavo.flows.definition.reading import MAX_BYTES

File = Annotated[Path, Parameter(help="The flow, in YAML or JSON; - reads standard input.", allow_leading_hyphen=True)]


def read_file(file: Path, most: int = MAX_BYTES) -> bytes:
    """What is in a file; somewhat more than it may have says enough.

    Args:
        most: bytes of it.
    """
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(most + 1)
        with file.open("rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        remedy = "Name a file that is there and can be read."
        raise InvalidInput(f"{file}: {error.strerror or error}.", field="file", remedy=remedy) from error
