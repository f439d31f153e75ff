"""What a check found: passed or not, why, and the remedy."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report."""

    name: str
    status: Status
    detail: str = ""
    remedy: str | None = None
    seconds: float | None = None

    def public(self) -> dict[str, Any]:
        """What `-o json` shows."""
        return asdict(self)


def succeeded(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed; warnings and skipped lines are no failures."""
    return all(finding.status != "fail" for finding in findings)
