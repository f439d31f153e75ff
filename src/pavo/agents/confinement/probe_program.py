"""The program of `levels.probe`: confines itself, then prints what does not hold or does not work; nothing if all does.

`python -P -m pavo.agents.confinement.probe_program`, with {confinement, path, other} on standard input.
"""

import json
import subprocess
import sys
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


def main() -> None:
    """Confine this process and try."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    Confinement.load(request["confinement"]).enter(request["path"])
    print(_problem(Path(request["other"])))  # noqa: T201 - it is the answer


if __name__ == "__main__":
    main()
