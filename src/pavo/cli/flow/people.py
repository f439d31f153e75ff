"""`pavo flow cancel`, `pause`, `resume` and `answer`: what people say of a run, on whichever engine it is."""

from typing import Annotated, Any, Final, Literal

import orjson
from cyclopts import Parameter

from pavo.cli.admin.operators import DataDir, OrganisationName
from pavo.cli.flow.connected import RunId, connected
from pavo.cli.output import Output, Printer, say
from pavo.errors import InvalidInput
from pavo.flows.ledger.changes import ResultKey

MAX_REASON: Final = 500
Gives = Annotated[
    str | None,
    Parameter(help="What the step gave, as JSON, where it succeeded. Default: null.", allow_leading_hyphen=True),
]


async def cancel(
    run: RunId,
    /,
    *,
    compensate: Annotated[
        bool, Parameter(negative=(), help="Undo what has succeeded and can be undone, the latest first.")
    ] = False,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Have a run end: nothing begins any more, waits end, and what cannot be called back comes to its end. Asked
    twice, the first time counts.

    Steps of which nobody knows whether they happened stay unknown. With --compensate those that can be undone are
    asked about first.
    """
    async with connected(data_dir, org) as here:
        await here.runs.cancel(here.organisation, run, compensate=compensate)
    document = {"id": str(run), "cancel_asked": True, "compensate": compensate}
    Printer(output).show(document, lambda: say(f"The run is to end. See: pavo flow status {run}"))


async def pause(
    run: RunId,
    /,
    *,
    reason: Annotated[str, Parameter(help="For those who look at it.")] = "",
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Have nothing of a run begin any more, until it is resumed: what is in flight comes to its end, and timers go on.
    Asked twice, the first time counts."""
    async with connected(data_dir, org) as here:
        await here.runs.pause(here.organisation, run, reason[:MAX_REASON])
    document = {"id": str(run), "paused": True, "reason": reason[:MAX_REASON]}
    Printer(output).show(document, lambda: say(f"The run is paused. See: pavo flow status {run}"))


async def resume(
    run: RunId, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Have a run that was paused go on."""
    async with connected(data_dir, org) as here:
        await here.runs.resume(here.organisation, run)
    document = {"id": str(run), "paused": False}
    Printer(output).show(document, lambda: say(f"The run goes on. See: pavo flow status {run}"))


async def answer(
    run: RunId,
    step: str,
    /,
    *,
    said: Annotated[
        Literal["succeeded", "failed", "again"],
        Parameter(help="succeeded: it happened. failed: it did not. again: it did not, and is to be done now."),
    ],
    item: Annotated[int | None, Parameter(help="Which one, of a step that is done for each; from 0.")] = None,
    undo: Annotated[bool, Parameter(negative=(), help="Of what undoes the step.")] = False,
    gives: Gives = None,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Say what became of a step of which nobody knows whether it happened; the run goes on.

    Args:
        step: its id in the flow.
    """
    if gives is not None and said != "succeeded":
        told = f"What {said!r} says gives nothing."
        raise InvalidInput(told, field="--gives", remedy="Leave it out, or say --said succeeded.")
    key, value = ResultKey(step, item, undo), json_of(gives)
    async with connected(data_dir, org) as here:
        await here.runs.answer(here.organisation, run, key, said, value, None)
    document = {"id": str(run), "step": step, "item": item, "undoes": undo, "said": said}
    Printer(output).show(document, lambda: say(f"Written down. See: pavo flow status {run}"))


def json_of(text: str | None) -> Any:
    """What an option says, as JSON; none: null.

    Raises:
        InvalidInput: it is none.
    """
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        remedy = """A text stands in quotation marks: --gives '"text"'."""
        raise InvalidInput(f"This is no JSON: {error}.", field="--gives", remedy=remedy) from error
