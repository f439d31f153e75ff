"""Make sure that Temporal's own servers are there for the tests of the native target: in the cache, else built with Go.

Without Go, or where a module cannot be had, it says so and ends well: those tests are then skipped with that reason.
"""

import sys
import time

from pavo.deploy.local.components.temporal_programs import find_temporal, find_ui
from pavo.deploy.model.compatibility import matrix
from pavo.errors import ConfigurationError

TESTED = ("1.32.1", "1.31.2", "1.30.7")


def main() -> int:
    """Each version that the tests run, and the UI."""
    for version in TESTED:
        begun = time.monotonic()
        try:
            found = find_temporal(version, say=lambda line: print(line, flush=True))
        except ConfigurationError as error:
            print(f"Temporal {version} is left out: {error.detail}", flush=True)
            continue
        print(f"Temporal {version}: {found.source}, {time.monotonic() - begun:.0f} s", flush=True)
    ui = find_ui(matrix().pins.temporal_ui, say=lambda line: print(line, flush=True))
    print(f"Temporal's UI: {ui}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
