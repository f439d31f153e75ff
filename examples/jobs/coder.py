"""A coding program as Pavo drives one, in twenty lines: reads what is asked from its input, edits the worktree, tells.

It understands one kind of wish: "Add a page NAME". A real program asks a model in between; this one takes its time.
"""

import re
import sys
import time
from pathlib import Path

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0


def main() -> None:
    """Exit 1 when the wish is not understood."""
    wish = sys.stdin.read()
    found = re.search(r"Add a page (\w+)", wish)
    if found is None:
        sys.exit(f"I do not understand: {wish[:80]!r}")
    page = Path("pages") / f"{found[1]}.md"
    for line in ("reading the repository", f"thinking about {page}", "writing"):
        print(line, flush=True)
        time.sleep(SECONDS / 3)
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"# {found[1]}\n\nWritten by a coding program.\n")
    print(f"{page} is there", flush=True)


if __name__ == "__main__":
    main()
