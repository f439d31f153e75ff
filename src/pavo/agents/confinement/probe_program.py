"""The program of `levels.probe`: confines itself, then prints what does not hold or does not work; nothing if all does.

`python -P -m pavo.agents.confinement.probe_program`, with {confinement, path, other} as a line of standard input; it
ends with that.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from pavo.agents.confinement.confined import Confinement


def _problem(other: Path) -> str:
    try:
        other.read_text()
    except PermissionError:
        pass
    else:
        return "another task's file could be read"
    try:
        other.write_text("")
    except PermissionError:
        pass
    else:
        return "another task's file could be written"
    Path("written").write_text("")
    for module in ("ssl", "decimal", "multiprocessing.connection"):  # libraries of the system's, code
        import_module(module)
    subprocess.run([sys.executable, "-c", "import json"], check=True)
    return ""


def _closed(confinement: Confinement, code: Iterable[str]) -> str:
    """What another user could not reach, or ought not to have."""
    if os.getgroups() or 0 in (*os.getresuid(), *os.getresgid()):
        return "the process is still root's"
    for kinds, places in ((os.R_OK, (*code, *confinement.readable)), (os.W_OK, confinement.writable)):
        for place in places:
            if not os.access(place, kinds | (os.X_OK if os.path.isdir(place) else 0)):  # noqa: PTH112
                return f"{place} is closed to other users"
    return ""


def main() -> None:
    """Confine this process and try."""
    request = json.loads(sys.stdin.readline())
    sys.path[:] = request["path"]
    confinement = Confinement.load(request["confinement"])
    code = [each for each in sys.path if each and os.path.exists(each)]  # noqa: PTH110 - raises nothing
    confinement.enter(request["path"])
    closed = _closed(confinement, code) if confinement.uid is not None else ""
    print(closed or _problem(Path(request["other"])), flush=True)  # noqa: T201 - it is the answer
    sys.stdin.read()


if __name__ == "__main__":
    main()
