"""`pavo deploy check`: everything that can be known before a rollout, in one table."""

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from pavo.cli.deploy.findings import show_findings
from pavo.cli.exit_codes import DONE, FAILED, end_process
from pavo.cli.installation import find_installation, gateway_of
from pavo.cli.output import Output, Printer, console
from pavo.deploy.checks.run import Checked, Wanted, check_rollout
from pavo.deploy.model.parts import kind_of
from pavo.errors import InvalidInput
from pavo.worker import workflows


def check(
    *,
    limit: int = 500,
    accept_breaking: bool = False,
    gateway: str | None = None,
    gateway_ca: Path | None = None,
    data_dir: Path | None = None,
    output: Output = "text",
) -> None:
    """Check settings, services, versions, disk, clocks, migrations and open histories; exit code 1 when one fails.

    Run it with the build that is to be rolled out: the open histories are replayed on it.

    Args:
        limit: so many open histories are replayed at most.
        accept_breaking: histories that this build breaks only warn.
        gateway: URL of a gateway to remote agents that is to answer; default: the stack's own.
        gateway_ca: the authority's certificate that agents are given; default: the stack's own.
        data_dir: the stack that is meant.
    """
    if limit < 1:
        raise InvalidInput("Nothing would be replayed.", field="--limit", remedy="Pass 1 or more.")
    found = find_installation(data_dir)
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # a history that breaks has its own line
    kinds = [kind_of(part.name).name for part in found.stack.parts] if found.stack else []
    wanted = Wanted(
        workflows(),
        limit,
        accept_breaking,
        Path(found.stack.data_dir) if found.stack else None,
        apis=max(kinds.count("api"), 1),
        workers=max(kinds.count("worker"), 1),
        gateway=gateway_of(found, gateway, gateway_ca),
    )
    checked = asyncio.run(check_rollout(found.settings, wanted))
    replayed = asdict(checked.replayed) if checked.replayed else None
    checks = [finding.public() for finding in checked.findings]
    Printer(output).show({"ok": checked.ok, "checks": checks, "histories": replayed}, lambda: _show(checked))
    end_process(DONE if checked.ok else FAILED)


def _show(checked: Checked) -> None:
    show_findings(checked.findings)
    counts = {status: sum(f.status == status for f in checked.findings) for status in ("pass", "warn", "fail")}
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    verdict = ("The rollout may go on", "green") if checked.ok else ("Do not roll out", "red")
    console().print(Text.assemble(verdict, f" ({said})."))
