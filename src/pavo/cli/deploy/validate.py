"""`pavo validate`: prove an installation by a workflow, and say what its servers hold of it."""

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.text import Text

from pavo.cli.deploy.findings import show_findings
from pavo.cli.exit_codes import DONE, FAILED, end_process
from pavo.cli.installation import find_installation, gateway_of
from pavo.cli.output import Output, Printer, console
from pavo.config import Settings
from pavo.deploy.checks.connectivity import TemporalReached, reach_postgres, reach_temporal
from pavo.deploy.checks.gateway import GatewayReach, reach_gateway
from pavo.deploy.model.findings import Finding, succeeded
from pavo.deploy.validation import contracts as c
from pavo.deploy.validation import readback
from pavo.deploy.validation.activities import Prover
from pavo.deploy.validation.restart import Restart, across_restart, restart_by_command, restart_stack
from pavo.deploy.validation.runner import Validated, Validator
from pavo.errors import InvalidInput
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What was found, and how the repeats went."""

    findings: tuple[Finding, ...]
    seconds: float
    """Of everything that the command did."""
    repeats: tuple[float, ...] = ()
    """Seconds of each repeat that passed."""
    wanted: int = 1

    @property
    def ok(self) -> bool:
        """Whether nothing failed and every repeat passed."""
        return succeeded(self.findings) and len(self.repeats) == self.wanted

    def public(self) -> dict[str, Any]:
        """What `-o json` shows."""
        return {
            "ok": self.ok,
            "seconds": self.seconds,
            "checks": [finding.public() for finding in self.findings],
            "repeats": {"wanted": self.wanted, "passed": len(self.repeats), "seconds": self.repeats},
        }


def validate(
    *,
    repeat: int = 1,
    across_restart: bool = False,
    restart_command: str | None = None,
    temporal_database_url: str | None = None,
    gateway: str | None = None,
    gateway_ca: Path | None = None,
    data_dir: Path | None = None,
    output: Output = "text",
) -> None:
    """Prove an installation by a workflow; exit code 1 when something does not work.

    Args:
        repeat: so many times; each must pass.
        across_restart: leave a run in flight, restart the servers, and show that nothing is lost.
        restart_command: what restarts servers that are not of this machine's stack.
        temporal_database_url: PostgreSQL URL of Temporal's own database, to count its rows.
        gateway: URL of a gateway to remote agents that is to answer; default: the stack's own.
        gateway_ca: the authority's certificate that agents are given; default: the stack's own.
        data_dir: the stack that is meant.
    """
    if repeat < 1:
        raise InvalidInput("There is nothing to do.", field="--repeat", remedy="Pass 1 or more.")
    found = find_installation(data_dir)
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # what fails has a line in the report
    settings = found.settings
    if temporal_database_url:
        temporal = settings.temporal.model_copy(update={"database_url": temporal_database_url})
        settings = settings.model_copy(update={"temporal": temporal})
    restart = _restart(data_dir, restart_command) if across_restart else None
    fleet = gateway_of(found, gateway, gateway_ca)

    async def work() -> None:
        report = await _validate(settings, repeat, restart, fleet)
        Printer(output).show(report.public(), lambda: _show(report))
        end_process(DONE if report.ok else FAILED)  # before the event loop waits for a worker whose server hangs

    asyncio.run(work())


def _restart(data_dir: Path | None, command: str | None) -> Restart:
    if command:
        return lambda: restart_by_command(command)
    return lambda: restart_stack(data_dir)


async def _validate(
    settings: Settings, repeat: int, restart: Restart | None, gateway: GatewayReach | None
) -> ValidationReport:
    begun = time.monotonic()
    postgres, temporal = await asyncio.gather(reach_postgres(settings.database.url), reach_temporal(settings.temporal))
    findings = [postgres.finding, temporal.finding, *([await reach_gateway(gateway)] if gateway is not None else [])]
    if temporal.client is None:
        findings += [Finding(name, "skip", "needs Temporal") for name in c.CHECKS]
        return ValidationReport(tuple(findings), time.monotonic() - begun, (), repeat)
    last, passed = await _repeats(settings, temporal, repeat)
    findings += last.findings
    if last.workflow_id:
        findings += await _read_back(settings, temporal, last)
    if restart and succeeded(findings):
        findings += await across_restart(settings, restart)
    return ValidationReport(tuple(findings), time.monotonic() - begun, tuple(passed), repeat)


async def _repeats(settings: Settings, temporal: TemporalReached, repeat: int) -> tuple[Validated, list[float]]:
    """Validate so many times, or until one fails."""
    assert temporal.client is not None
    database = Database(settings.database.url, pool_size=3)
    passed: list[float] = []
    try:
        async with Validator(temporal.client, Prover(database)) as validator:
            while True:
                last = await validator.once()
                if not last.ok:
                    return last, passed
                passed.append(last.seconds)
                if len(passed) == repeat:
                    return last, passed
    finally:
        await database.close()


async def _read_back(settings: Settings, temporal: TemporalReached, last: Validated) -> list[Finding]:
    assert temporal.client is not None
    history, runs = await readback.read_histories(temporal.client, last.workflow_id, last.first_run_id)
    if not runs or not last.ok:
        return [history]
    url, ui = settings.temporal.database_url, settings.http.temporal_ui
    return [
        history,
        await readback.count_stored(temporal.client, temporal.persistence, url, last.workflow_id, runs),
        await readback.ask_ui(ui, temporal.client.namespace, last.workflow_id, runs),
    ]


def _show(report: ValidationReport) -> None:
    show_findings(report.findings)
    if report.wanted > 1 and report.repeats:
        middle, longest = median(report.repeats), max(report.repeats)
        console().print(
            f"{len(report.repeats)} of {report.wanted} passed; median {middle:.2f} s, longest {longest:.2f} s"
        )
    verdict = ("The installation works", "green") if report.ok else ("Something does not work", "red")
    console().print(Text.assemble(verdict, f" ({report.seconds:.1f} s)."))
