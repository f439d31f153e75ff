"""What a start would bring and change, shown before anything is done."""

from collections.abc import Iterable

from pavo.cli.output import console, say, table
from pavo.deploy.compatibility import Assessment, Verdict
from pavo.deploy.deployment import TargetName
from pavo.deploy.layout import Layout
from pavo.deploy.planning import PlannedPart


def show(
    target: TargetName,
    layout: Layout,
    parts: Iterable[PlannedPart],
    changes: Iterable[str],
    assessments: Iterable[Assessment],
) -> None:
    """The parts in a table, what changes for them, and what is known against their versions."""
    image = target in (TargetName.COMPOSE, TargetName.KUBERNETES)
    console().print(f"[bold]Target[/]  {target}    [bold]Data[/]  {layout.root}\n", soft_wrap=True)
    rows = [(part.name, part.version, part.address, part.data) for part in parts]
    table(("part", "image" if image else "version", "address", "data"), rows, fold=True)
    console().print("\n[bold]What changes[/]")
    for line in changes:
        say(f"  {line}")
    warn(assessments)
    console().print()


def warn(assessments: Iterable[Assessment]) -> None:
    """A line for each that is not known to be good."""
    for assessment in assessments:
        if assessment.verdict is not Verdict.GOOD:
            console().print(f"[yellow]![/] {assessment.what}", soft_wrap=True)
