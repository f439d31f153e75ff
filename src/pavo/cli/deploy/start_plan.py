"""What a start would bring and change, shown before anything is done."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from pavo.cli.output import say
from pavo.cli.table import table
from pavo.deploy.model.compatibility import Assessment, VersionVerdict
from pavo.deploy.model.deployment import TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import PlannedPart
from pavo.deploy.model.settings_plan import OwnFilesPlan, SettingsPlan
from pavo.observe.printable import printable_line


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """The parts, what changes for them, and what is known of their versions."""

    target: TargetName
    layout: Layout
    parts: Sequence[PlannedPart]
    changes: Sequence[str]
    assessments: Sequence[Assessment]
    settings: SettingsPlan | OwnFilesPlan

    def show(self, shown: Console) -> None:
        """Print it for people; of the versions only what speaks against them."""
        image = self.target in (TargetName.COMPOSE, TargetName.KUBERNETES)
        where = printable_line(str(self.layout.root))
        head = (("Target", "bold"), f"  {self.target}    ", ("Data", "bold"), f"  {where}\n")
        shown.print(Text.assemble(*head), soft_wrap=True)
        rows = [(part.name, part.version, part.address, part.data) for part in self.parts]
        table(("part", "image" if image else "version", "address", "data"), rows, to=shown)
        shown.print(Text.assemble("\n", ("What changes", "bold")))
        for line in self.changes or ("nothing: everything is there",):
            say(f"  {line}", to=shown)
        notes = self.settings.notes()
        if notes:
            shown.print(Text.assemble("\n", ("Settings", "bold")))
        for line in notes:
            say(f"  {line}", to=shown)
        warn(self.assessments, shown)
        shown.print()

    def public(self) -> dict[str, Any]:
        """What `--dry-run -o json` shows."""
        return {
            "target": self.target,
            "data_dir": str(self.layout.root),
            "parts": [asdict(part) for part in self.parts],
            "changes": list(self.changes),
            "versions": [asdict(assessment) for assessment in self.assessments],
            "settings": self.settings.public(),
        }


def warn(assessments: Iterable[Assessment], shown: Console) -> None:
    """A line for each that is not known to be good."""
    for assessment in assessments:
        if assessment.verdict is not VersionVerdict.GOOD:
            shown.print(Text.assemble(("!", "yellow"), f" {printable_line(assessment.what)}"), soft_wrap=True)
