"""The program before a program that is confined by Landlock: gives up what is not granted, and becomes it.

`python -P -m pavo.remote.programs.confined_program REQUEST ARGV…`, with {folder, writable, readable} as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

from pavo.agents.confinement.landlock import DEVICE, READ, WRITE, restrict
from pavo.remote.programs.sandbox import system_folders

_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx")
_TOLD: Final = 126
"""As shells end for a program that cannot be executed."""


def main(request: str, argv: list[str]) -> None:
    """Become the program."""
    wanted = json.loads(request)
    grants = [(Path(each), READ) for each in (*system_folders(), "/proc", "/sys", *wanted["readable"])]
    grants += [(Path(each), WRITE) for each in wanted["writable"]]
    grants += [(Path(each), DEVICE) for each in _DEVICES]
    grants += [(Path(each), WRITE) for each in ("/dev/shm", "/dev/pts")]
    try:
        restrict(grants)
        os.chdir(wanted["folder"])
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"It cannot be confined or started: {error}\n".encode())
        sys.exit(_TOLD)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
