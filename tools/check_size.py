"""The size gates of src/: the longest functions and files, and the most modules at one level of a folder."""

import ast
import sys
from pathlib import Path

MAX_FUNCTION = 40
MAX_FILE = 400
MAX_MODULES = 15
"""Beside `__init__.py`; what needs more wants rooms that say what they hold."""


def oversized(path: Path) -> list[str]:
    """What is too long in one file."""
    text = path.read_text()
    lines = text.count("\n")
    found = [f"{path}: {lines} lines"] if lines > MAX_FILE else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION:
                found.append(f"{path}:{node.lineno} {node.name} is {size} lines")
    return found


def crowded(files: list[Path]) -> list[str]:
    """The folders that hold too many of these modules at one level."""
    modules: dict[Path, int] = {}
    for path in files:
        if path.name != "__init__.py":
            modules[path.parent] = modules.get(path.parent, 0) + 1
    return [f"{folder}: {count} modules" for folder, count in modules.items() if count > MAX_MODULES]


def main() -> None:
    """Exit 1 when anything is too large."""
    files = sorted(Path("src").rglob("*.py"))
    found = [line for path in files for line in oversized(path)] + crowded(files)
    for line in found:
        print(line)
    limits = f"functions over {MAX_FUNCTION} lines, files over {MAX_FILE}, folders over {MAX_MODULES} modules"
    print(f"size: {len(found)} too large ({limits})")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
