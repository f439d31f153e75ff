"""Looking at an organisation's runs: rows beside workflows, leases, and the tools that there are."""

import asyncio
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

from pavo.errors import Unavailable
from pavo.flows.doctoring.schemas import FlowDoctorOut, FlowFinding, What
from pavo.flows.ledger import due
from pavo.flows.ledger.due import OpenRun
from pavo.flows.ledger.records import TEMPORAL
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.contracts import epoch_of_workflow, run_of_workflow
from pavo.flows.temporal.reconcile import FlowRows, running_row
from pavo.kit.json_values import decode
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.runs.kinds import Kind
from pavo.runs.reconcile import Reconciler

SETTLED_SECONDS: Final = 60.0
"""What is so for less may just be between two writes, or wait for a worker's next look."""
AGAIN_SECONDS: Final = 3.0
"""Between two looks at what nobody executes: a worker that is there takes it within half a second."""
MOST: Final = 2_000
"""Runs that are looked at."""
ASKED: Final = 200
"""Of which Temporal is asked one by one."""
ANOTHER_LOOK: Final = "Look again after that: pavo flow doctor"


class FlowDoctor:
    """Of an API.

    Args:
        kind: of runs of flows.
        rows: of the same.
        reconciler: finds and explains what is lost.
    """

    def __init__(
        self, database: Database, kind: Kind, rows: FlowRows, reconciler: Reconciler, commands: FlowCommands
    ) -> None:
        self._database, self._commands = database, commands
        self._kind, self._rows, self._reconciler = kind, rows, reconciler

    async def look(
        self, organisation_id: uuid.UUID, tools: Collection[str] | None, *, repair: bool = False
    ) -> FlowDoctorOut:
        """What is wrong, and with `repair` what was done about it.

        Args:
            tools: that the live workers have; None: nobody knows.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        unchecked = [] if tools is not None else ["Which tools the workers have: Redis does not tell, or no worker is."]
        async with self._database.reading() as session:
            runs = await due.open_runs(session, organisation_id, SETTLED_SECONDS, MOST + 1)
        looked_at = runs[:MOST]
        lacks = await self._lacking(organisation_id, looked_at, tools)
        findings = await self._of_local(organisation_id, [each for each in looked_at if each.engine != TEMPORAL], lacks)
        try:
            on_temporal = [each for each in looked_at if each.engine == TEMPORAL]
            findings += await self._of_temporal(organisation_id, on_temporal, lacks, repair)
        except Unavailable as error:
            unchecked.append(f"Runs on Temporal: {error.detail}")
        return FlowDoctorOut(
            ok=not unchecked and all(each.repaired is not None for each in findings),
            looked_at=len(looked_at),
            whole=len(runs) <= MOST,
            unchecked=unchecked,
            findings=findings,
        )

    async def _lacking(
        self, organisation_id: uuid.UUID, runs: Sequence[OpenRun], tools: Collection[str] | None
    ) -> Mapping[str, Sequence[str]]:
        """The tools that no worker has, by the version that calls them."""
        if tools is None or not runs:
            return {}
        async with self._database.reading() as session:
            texts = await due.texts(session, organisation_id, [*{each.hash for each in runs}])
        called = await call_in_thread("flow-doctor", _called_by_all, texts)
        return {hash_: [name for name in names if name not in tools] for hash_, names in called.items()}

    async def _of_local(
        self, organisation_id: uuid.UUID, runs: Sequence[OpenRun], lacks: Mapping[str, Sequence[str]]
    ) -> list[FlowFinding]:
        if not runs:
            return []
        await asyncio.sleep(AGAIN_SECONDS)
        async with self._database.reading() as session:
            again = await due.open_runs(session, organisation_id, SETTLED_SECONDS, MOST)
        still = {(each.run_id, each.epoch, each.seq) for each in again}
        return [_unexecuted(each, lacks) for each in runs if (each.run_id, each.epoch, each.seq) in still]

    async def _of_temporal(
        self, organisation_id: uuid.UUID, runs: Sequence[OpenRun], lacks: Mapping[str, Sequence[str]], repair: bool
    ) -> list[FlowFinding]:
        listed = await self._reconciler.open_workflows(self._kind)
        found = list[FlowFinding]()
        asked = 0
        for run in runs:
            row = running_row(run.run_id, run.epoch, run.seq)
            if row.workflow_id in listed or asked >= ASKED:
                found += _without_tools(run, lacks)
                continue
            asked += 1
            each = await (self._lost(run, repair) if run.held else self._not_started(run, repair))
            found += [each] if each is not None else []
        return found + await self._left(organisation_id, listed, repair)

    async def _lost(self, run: OpenRun, repair: bool) -> FlowFinding | None:
        row = running_row(run.run_id, run.epoch, run.seq)
        lost = await self._reconciler.lost(self._kind, row)
        if lost is None:
            return None
        remedy = "A repair shows it as failed, and what was in flight as unknown; workers do so within a minute."
        finding = _finding(run, "workflow_lost", lost.cause, remedy, repairable=True)
        if repair and await self._reconciler.repair(self._kind, self._rows, row):
            finding.repaired = "It is shown as failed, with this cause."
        return finding

    async def _not_started(self, run: OpenRun, repair: bool) -> FlowFinding | None:
        if await self._commands.is_open(run.run_id, run.epoch):
            return None
        told = "It is written, and no workflow was started for it."
        finding = _finding(run, "workflow_not_started", told, "A repair starts it; workers do too.", repairable=True)
        if repair:
            await self._commands.start(run.run_id, run.epoch)
            finding.repaired = "Its workflow is started."
        return finding

    async def _left(self, organisation_id: uuid.UUID, listed: Collection[str], repair: bool) -> list[FlowFinding]:
        """Workflows that go on without a run that is theirs."""
        epochs = dict[uuid.UUID, list[int]]()
        for workflow_id in listed:
            run_id, epoch = _uuid(run_of_workflow(workflow_id)), epoch_of_workflow(workflow_id)
            if run_id is not None and epoch is not None:
                epochs.setdefault(run_id, []).append(epoch)
        async with self._database.reading() as session:
            rows = await due.standing(session, organisation_id, [*epochs], SETTLED_SECONDS)
        left = [(row, epoch) for row in rows for epoch in epochs[row.run_id] if row.is_over or epoch < row.epoch]
        found = list[FlowFinding]()
        for row, epoch in left[:ASKED]:
            if not await self._commands.is_open(row.run_id, epoch):
                continue
            state = row.state if row.is_over else f"executed under epoch {row.epoch}"
            finding = FlowFinding(
                run_id=row.run_id,
                flow=row.flow,
                what="workflow_left",
                told=f"Its workflow of epoch {epoch} goes on, though the run is {state}. It may write nothing.",
                remedy="A repair ends that workflow.",
                repairable=True,
            )
            if repair:
                await self._commands.end(row.run_id, epoch, "its run is over or elsewhere: pavo flow doctor")
                finding.repaired = "That workflow is ended."
            found.append(finding)
        return found


def _unexecuted(run: OpenRun, lacks: Mapping[str, Sequence[str]]) -> FlowFinding:
    what: What = "nobody_executes" if run.expired_seconds is None else "lease_expired"
    since = "is due" if run.expired_seconds is None else f"had a lease until {run.expired_seconds:.0f} s ago"
    if run.program is not None:
        told, remedy = f"It {since}, and the program {run.program} alone executes it.", "Start that program."
    elif names := lacks.get(run.hash, ()):
        told = f"It {since}, and no worker has {', '.join(names)[:500]}."
        remedy = f"Install what brings that where a worker runs. {ANOTHER_LOOK}"
    else:
        told = f"It {since}, and no worker takes it."
        remedy = f"Start a worker; where one runs, its log tells what it lacks for {run.hash[:12]}. {ANOTHER_LOOK}"
    return _finding(run, what, told, remedy, repairable=False)


def _without_tools(run: OpenRun, lacks: Mapping[str, Sequence[str]]) -> list[FlowFinding]:
    names = lacks.get(run.hash, ())
    if not names:
        return []
    told = f"Steps of it call what no worker has: {', '.join(names)[:500]}."
    remedy = f"Install what brings that where a worker runs, or cancel it: pavo flow cancel {run.run_id}"
    return [_finding(run, "tools_missing", told, remedy, repairable=False)]


def _finding(run: OpenRun, what: What, told: str, remedy: str, *, repairable: bool) -> FlowFinding:
    return FlowFinding(
        run_id=run.run_id, flow=run.flow, what=what, told=told, remedy=remedy, repairable=repairable, repaired=None
    )


def _called_by_all(texts: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    return {hash_: sorted(_called_by(decode(text))) for hash_, text in texts.items()}


def _called_by(definition: Mapping[str, Any]) -> set[str]:
    """Names of the tools that a version's steps call, also to undo."""
    found = set[str]()
    steps = cast("Mapping[str, Mapping[str, Any]]", definition.get("steps", {}))
    for step in steps.values():
        for each in (step, step.get("compensate")):
            tool: Any = cast("Mapping[str, Any]", each).get("tool") if isinstance(each, Mapping) else None
            if isinstance(tool, str):
                found.add(tool.partition("@")[0])
    return found


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        return None
