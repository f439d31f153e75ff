"""Packages with agents and tools, as pip would leave them."""

from collections.abc import Mapping
from pathlib import Path


def install_module(folder: Path, module: Path, declared: Mapping[str, Mapping[str, str]]) -> None:
    """Make a distribution of one module in `folder`.

    Args:
        declared: by group of entry points and name, what of the module it is.
    """
    info = folder / f"{module.stem}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / module.name).write_text(module.read_text())
    name = module.stem.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {module.stem}:{what}\n" for name, what in points.items())
        for group, points in declared.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    (info / "RECORD").write_text("")
