"""Guides as their readers follow them: the files of a guide are written and their test is run as it stands."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.M | re.S)


def run_files(guide: str, names: Sequence[str], folder: Path) -> None:
    """Write the files of `docs/guides/GUIDE.md`, which are these, and run their one test."""
    text = (Path(__file__).parents[1] / "docs" / "guides" / f"{guide}.md").read_text()
    files = BLOCK.findall(text)
    assert [name for name, _ in files] == list(names)
    for name, body in files:
        (folder / name).write_text(body)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "."]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
