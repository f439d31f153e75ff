"""`docs/guides/flows-embedded.md`: its program prints what the guide says."""

import os
import re
import subprocess
import sys
from pathlib import Path


def test_the_guide_says_what_happens(root: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    guide = (root / "docs" / "guides" / "flows-embedded.md").read_text()
    [program] = re.findall(r'^```python title="refunds.py"\n(.*?)^```$', guide, re.M | re.S)
    [told] = re.findall(r"^```console\n\$ python refunds.py\n(.*?)^```$", guide, re.M | re.S)
    (tmp_path / "refunds.py").write_text(program.replace('"refunds"', f'"refunds-{os.getpid()}"'))
    ran = subprocess.run(
        [sys.executable, "refunds.py"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, told), ran.stderr
