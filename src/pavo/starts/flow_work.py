"""Runs of published flows, as schedules and triggers start them."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, NotFound
from pavo.flows.ledger.records import OVER
from pavo.flows.published.starting import RunRequest, RunStarts
from pavo.flows.runs import RunService
from pavo.starts.schemas import FlowStart
from pavo.works.work import Outcome, read_body


class FlowWork:
    """Runs of flows: of the version that is named, or of whichever is current when the time comes."""

    def __init__(self, starts: RunStarts, runs: RunService) -> None:
        self._starts, self._runs = starts, runs

    async def parent(self, run_id: uuid.UUID) -> uuid.UUID | None:
        """The run whose step this one is; None: nobody's, or unknown."""
        return await self._runs.parent(run_id)

    async def check(self, who: Identity, body: BaseModel, later: Collection[str] = ()) -> None:
        """As a run is checked when it begins.

        Args:
            later: names of inputs whose values are not known yet.
        """
        assert isinstance(body, FlowStart)
        await self._starts.check(_request(who, body), later)

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """A run, which its engine begins."""
        run_id, _ = await self._starts.of_version(who, _request(who, read_body(FlowStart, body)), key)
        return run_id

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Its engine does."""

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """In which states these runs are."""
        return await self._runs.states(subject_ids)

    def is_over(self, stage: str) -> bool:
        """Whether nothing of it goes on."""
        return stage in OVER

    async def outcome(self, who: Identity, subject_id: uuid.UUID) -> Outcome:
        """Its result, or why it has none."""
        run = (await self._runs.history(who.organisation_id, subject_id)).run
        return Outcome(run.state, run.result, None if run.state == "succeeded" else run.error or f"it was {run.state}")

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Cancel it; what it has done is compensated."""
        try:
            await self._runs.cancel(who.organisation_id, subject_id, compensate=True)
        except (Conflict, NotFound):
            return  # it is over, or gone


def _request(who: Identity, body: FlowStart) -> RunRequest:
    return RunRequest(
        organisation_id=who.organisation_id,
        flow=body.name,
        version=body.version,
        inputs=body.inputs,
        engine=body.engine,
    )
