"""In what people read, "step" alone is a step of the plan: what is recorded is a checkpoint."""

import re
from pathlib import Path

RECORDED = re.compile(
    r"steps? recorded|recorded steps?\b|after step\b|(Stopped|Failed|Went on|goes on) (at|after|with) step|\bat step \{"
    r"|\bof \{\w+\} steps|steps? in flight|\blast step\b|a step may take|every step was"
    r"|\brepeated step\b|failure at a step|\bstep is tried|attempts per step|^\*\*A step\.|another step\.",
    re.I,
)
"""Ways in which a checkpoint was called a step."""


def test_no_checkpoint_is_called_a_step(root: Path) -> None:
    code = [*(root / "src" / "pavo" / "cli").rglob("*.py"), *(root / "src" / "pavo" / "ui" / "static").glob("*.js")]
    code += [root / "src" / "pavo" / "tasks" / name for name in ("domain.py", "work/failures.py")]
    pages = [root / "README.md", root / "docs" / "index.md", *(root / "docs" / "guides").glob("*.md")]
    pages.append(root / "docs" / "architecture.md")
    assert len(code) > 50 and len(pages) > 5
    wrong = [
        f"{place.relative_to(root)}: {line.strip()}"
        for place in (*code, *pages)
        for line in place.read_text().splitlines()
        if RECORDED.search(line) and not line.lstrip().startswith(("#", "//"))
    ]
    assert wrong == []
