"""HTTP of runs: parse, call one service method, return."""

import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from pavo.accounts.dependencies import Caller
from pavo.accounts.domain import Identity
from pavo.errors import InvalidInput, NotFound
from pavo.flows.dependencies import OwnRun, TheNames, TheOrganisation, TheRuns, TheStarts, TheViews, WatchedRun
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.listing import WantedRuns
from pavo.flows.published.starting import DEFAULT_ENGINE, RunRequest
from pavo.flows.requests.event_schemas import FlowRunEvent, FlowRunEventPage
from pavo.flows.shown.presenters import listed_run, run_out, run_page
from pavo.flows.shown.schemas import (
    STATES,
    Engine,
    FlowRunAnswer,
    FlowRunCancel,
    FlowRunCreate,
    FlowRunOut,
    FlowRunPage,
    FlowRunPause,
    FlowTextRun,
    ListedFlowRun,
)
from pavo.flows.shown.views import RunViews
from pavo.kit.clock import moment_or_age
from pavo.kit.problem import problems
from pavo.kit.texts.fields import Text
from pavo.runs import idempotency
from pavo.timeline.http import (
    After,
    EventLimit,
    EventStream,
    Position,
    TheWatching,
    Until,
    events_page,
    stream_answers,
    stream_or_no_content,
)

router = APIRouter(tags=["flows"], responses=problems(401, 404, 422))
RUNS, ONE = "/api/flow-runs", "/api/flow-runs/{run_id}"
Key = Annotated[str | None, Header()]
_LOCATION = {"Location": {"description": "Where the run is.", "required": True, "schema": {"type": "string"}}}
_BEGUN = {
    201: {"headers": _LOCATION},
    200: {"model": ListedFlowRun, "description": "Begun before, with the same Idempotency-Key.", "headers": _LOCATION},
    **problems(409),
}


@router.post("/api/flows/{name}/runs", status_code=201, operation_id="run_flow", responses=_BEGUN)
async def run_flow(
    starts: TheStarts,
    views: TheViews,
    organisation: TheOrganisation,
    who: Caller,
    response: Response,
    name: Annotated[Text, Path(max_length=63)],
    new: FlowRunCreate,
    idempotency_key: Key = None,
) -> ListedFlowRun:
    """Run a published flow: its current version, if none is named. A version that is deprecated is refused.

    With an Idempotency-Key the same request begins one run however often it is sent.
    """
    asked = RunRequest(
        organisation_id=organisation,
        flow=name,
        version=new.version,
        inputs=new.inputs,
        engine=new.engine or DEFAULT_ENGINE,
    )
    return await _begun(views, who, response, await starts.of_version(who, asked, idempotency_key))


@router.post(RUNS, status_code=201, operation_id="run_flow_text", responses=_BEGUN)
async def run_flow_text(
    starts: TheStarts,
    views: TheViews,
    organisation: TheOrganisation,
    known: TheNames,
    who: Caller,
    response: Response,
    new: FlowTextRun,
    idempotency_key: Key = None,
) -> ListedFlowRun:
    """Run a flow that nobody has published; nothing is published by it.

    With an Idempotency-Key the same request begins one run however often it is sent.
    """
    asked = RunRequest(
        organisation_id=organisation,
        flow=new.text,
        version=None,
        inputs=new.inputs,
        engine=new.engine or DEFAULT_ENGINE,
    )
    return await _begun(views, who, response, await starts.of_text(who, asked, known, idempotency_key))


async def _begun(views: RunViews, who: Identity, response: Response, begun: tuple[uuid.UUID, bool]) -> ListedFlowRun:
    run_id, created = begun
    try:
        found = await views.own(who, run_id)
    except NotFound as error:
        raise idempotency.gone("run") from error
    if not created:
        response.status_code = 200
    response.headers["Location"] = f"{RUNS}/{run_id}"
    return listed_run(found)


@router.get(RUNS, operation_id="list_flow_runs")
async def list_flow_runs(
    views: TheViews,
    organisation: TheOrganisation,
    flow: Annotated[Text | None, Query(max_length=63, description="Of this name.")] = None,
    state: Annotated[
        Text | None, Query(max_length=200, description="In these states; open and over name several.")
    ] = None,
    engine: Engine | None = None,
    since: Annotated[
        Text | None, Query(max_length=40, description="Begun since then: 2026-11-26T08:00:00Z, or 24h, 7d.")
    ] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FlowRunPage:
    """The organisation's runs of flows, the newest first."""
    moment = None if since is None else moment_or_age(since, field="since")
    return run_page(await views.page(organisation, WantedRuns(flow, _states(state), engine, moment), cursor, limit))


def _states(text: str | None) -> Sequence[str] | None:
    if text is None:
        return None
    known = {**STATES, **{each: (each,) for several in STATES.values() for each in several}}
    found: list[str] = []
    for name in text.split(","):
        if name.strip() not in known:
            told = f"{name.strip()[:40]!r} is no state of a run."
            raise InvalidInput(told, field="state", remedy=f"Name some of {', '.join(known)}, with commas.")
        found += known[name.strip()]
    return found


@router.get(ONE, operation_id="get_flow_run")
async def get_flow_run(views: TheViews, run: OwnRun) -> FlowRunOut:
    """A run with its steps: states, attempts, outputs, errors, and what is waited for."""
    return run_out(await views.show(run))


@router.post(f"{ONE}/pause", operation_id="pause_flow_run", responses=problems(409))
async def pause_flow_run(
    runs: TheRuns, views: TheViews, who: Caller, run: OwnRun, given: FlowRunPause
) -> ListedFlowRun:
    """Have nothing begin any more until the run is resumed. What is in flight comes to its end, timers go on. Asked
    twice, the first time counts."""
    await runs.pause(run.organisation_id, run.id, given.reason, by=who.email)
    return listed_run(await views.own(who, run.id))


@router.post(f"{ONE}/resume", operation_id="resume_flow_run", responses=problems(409))
async def resume_flow_run(runs: TheRuns, views: TheViews, who: Caller, run: OwnRun) -> ListedFlowRun:
    """Have a run that was paused go on."""
    await runs.resume(run.organisation_id, run.id, by=who.email)
    return listed_run(await views.own(who, run.id))


@router.post(f"{ONE}/cancel", operation_id="cancel_flow_run", responses=problems(409))
async def cancel_flow_run(
    runs: TheRuns, views: TheViews, who: Caller, run: OwnRun, given: FlowRunCancel
) -> ListedFlowRun:
    """Have a run end. What runs and may be repeated is ended, what may not comes to its end. Asked twice, the first
    time counts."""
    await runs.cancel(run.organisation_id, run.id, compensate=given.compensate, by=who.email)
    return listed_run(await views.own(who, run.id))


@router.post(f"{ONE}/answer", operation_id="answer_flow_run", responses=problems(409))
async def answer_flow_run(
    runs: TheRuns, views: TheViews, who: Caller, run: OwnRun, given: FlowRunAnswer
) -> ListedFlowRun:
    """Say what became of a step of which it is not known whether it happened; the run goes on."""
    key = ResultKey(given.step, given.item, given.undoes)
    await runs.answer(run.organisation_id, run.id, key, given.said, given.output, who.user_id)
    return listed_run(await views.own(who, run.id))


@router.delete(ONE, status_code=204, operation_id="remove_flow_run", responses=problems(409))
async def remove_flow_run(runs: TheRuns, run: OwnRun) -> None:
    """Remove a run that is over, with all that is kept of its steps; its streams end."""
    await runs.remove(run.organisation_id, run.id)


@router.get(f"{ONE}/timeline", operation_id="list_flow_run_events", response_model=FlowRunEventPage)
async def list_flow_run_events(
    watching: TheWatching, run: OwnRun, after: After = 0, limit: EventLimit = 200
) -> Response:
    """The run's timeline after `after`, oldest first."""
    return events_page(await watching.events(run.id, after, limit))


@router.get(
    f"{ONE}/events",
    operation_id="stream_flow_run",
    response_class=EventStream,
    responses=stream_answers("run", FlowRunEvent.__name__),
)
async def stream_flow_run(
    watching: TheWatching, subject: WatchedRun, position: Position, until: Until = None
) -> Response:
    """The timeline as server-sent events: `id` is the seq; goes on after Last-Event-ID."""
    return stream_or_no_content(await watching.stream(subject, position, until_rest=until == "end"))
