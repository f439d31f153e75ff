"""Findings on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pavo.cli.output import console, say
from pavo.deploy.model.findings import Finding
from pavo.observe.printable import printable_line

MARKS = {"pass": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skip": ("–", "dim")}


def show_findings(findings: Sequence[Finding], to: Console | None = None) -> None:
    """Print a line for each: mark, name, time, detail; its remedy below."""
    out = to or console()
    for finding in findings:
        mark, style = MARKS[finding.status]
        took = f"{finding.seconds * 1000:6.0f} ms" if finding.seconds is not None else " " * 9
        line = Text.assemble(
            (mark, style),
            f" {finding.name:<20} ",
            (took, "dim"),
            f"  {printable_line(' '.join(finding.detail.split()))}",
        )
        out.print(line, soft_wrap=True)
        if finding.remedy:
            say(f"  → {printable_line(finding.remedy)}", to=out)
