"""Pavo with an isolated agent that imports a lot."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.arms.pavo import Pavo


class PavoIsolated(Pavo):
    """`pavo up` with that agent installed."""

    title: ClassVar[str] = "Pavo, isolated agent"
    agent_type: ClassVar[str] = "heavy_intern"

    def environment(self) -> Mapping[str, str]:
        folder = self.group.folder / "plugins"
        info = folder / "heavy_intern-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heavy-intern\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pavo.agents]\nheavy_intern = bench.heavy_intern:HeavyIntern\n")
        return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
