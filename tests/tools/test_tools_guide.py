"""`docs/guides/tools.md`: its tools, its agent and its test are run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.M | re.S)


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "tools.md"
    files = BLOCK.findall(guide.read_text())
    assert [name for name, _ in files] == ["billing.py", "test_billing.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "."]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
