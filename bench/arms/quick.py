"""Pavo with an agent that declares itself quick: its first stretch is carried out inside the workflow task."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.arms.pavo import Pavo


class PavoQuick(Pavo):
    """`pavo up` with that agent installed."""

    name: ClassVar[str] = "quick"
    title: ClassVar[str] = "Pavo, quick agent"
    agent_type: ClassVar[str] = "quick_intern"

    def environment(self) -> Mapping[str, str]:
        folder = self.group.folder / "plugins"
        info = folder / "quick_intern-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quick-intern\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pavo.agents]\nquick_intern = bench.quick_intern:QuickIntern\n")
        return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
