"""The one face of targets that others run: what commands ask of Docker Compose and of Kubernetes alike."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pavo.deploy.model.parts import PlannedPart
from pavo.deploy.orchestrated.outside_programs import Show


@dataclass(frozen=True, slots=True)
class RunningPart:
    """One line of a status."""

    name: str
    state: str
    ready: bool
    restarts: int | None
    """None where the target does not count them."""


class OrchestratedTarget(Protocol):
    """What commands ask of a target."""

    folder: Path

    def plan(self) -> tuple[PlannedPart, ...]:
        """What will be there."""
        ...

    def changes(self) -> tuple[str, ...]:
        """What writing and starting change."""
        ...

    def settings(self) -> dict[str, str] | None:
        """What API and workers are told once it is written, and the secrets; None where that is not known here."""
        ...

    def settings_place(self) -> str:
        """Where people change that."""
        ...

    def write(self) -> list[Path]:
        """Write the files; what is there already stays. That is all that a dry run does."""
        ...

    def missing(self) -> str | None:
        """Why it cannot be started from here; None when it can."""
        ...

    def start(self) -> None:
        """Start or update what was written, and wait until it is ready."""
        ...

    def status(self) -> list[RunningPart]:
        """Every container or pod."""
        ...

    def logs(self, part: str | None, *, follow: bool, lines: int, show: Show | None = None) -> int:
        """Pass logs on to our output, or each line's container or pod and text to `show`; an exit code."""
        ...

    def restart(self, part: str) -> None:
        """One part, or all of a kind."""
        ...

    def stop(self) -> None:
        """Drain and end everything; data stay."""
        ...

    def destroy(self) -> None:
        """Remove it with all data that are its own, and the folder."""
        ...


def shown_changes(found: dict[str, str], folder: Path) -> list[str]:
    """Lines for people: what writing does to which file, summed up where they are many."""
    shown = [f"{what} file {folder / name}" for name, what in found.items() if what != "kept"]
    return shown if len(shown) <= 10 else [f"{len(shown)} files in {folder}, from {shown[0].split()[-1]}"]


def remove_folder(folder: Path) -> None:
    """Remove a target's folder, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
