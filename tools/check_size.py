"""The size gates: functions of at most 40 lines and files of at most 400, in src/."""

import ast
import sys
from pathlib import Path

MAX_FUNCTION = 40
MAX_FILE = 400


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


def main() -> None:
    """Exit 1 when anything is too long."""
    found = [line for path in sorted(Path("src").rglob("*.py")) for line in oversized(path)]
    for line in found:
        print(line)
    print(f"size: {len(found)} too long (functions over {MAX_FUNCTION} lines, files over {MAX_FILE})")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
