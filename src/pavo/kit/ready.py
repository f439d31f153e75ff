"""How a part tells its supervisor that it is ready: a line on the file descriptor named by PAVO_READY_FD."""

import os


def announce_ready() -> None:
    """Write `READY` once to the supervisor, if there is one; without one, do nothing."""
    descriptor = os.environ.pop("PAVO_READY_FD", None)
    if descriptor is None:
        return
    os.write(int(descriptor), b"READY\n")
    os.close(int(descriptor))
