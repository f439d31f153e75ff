"""Beginning the work of a step, under a key of the attempt: done twice, it is the same work."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pavo.accounts.domain import Identity
from pavo.accounts.people import identity_in
from pavo.errors import PavoError, Unavailable
from pavo.flows.attempts import Attempted, Awaited, Given, Steps
from pavo.flows.awaited.children import RUN, ChildRuns
from pavo.flows.awaited.gates import WORK, GateWork
from pavo.flows.definition.written import WrittenStep
from pavo.flows.ledger.works import awaited
from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database
from pavo.works.work import Work

logger = logging.getLogger(__name__)

KINDS: Final[Mapping[str, str]] = {"agent": "task", "job": "job"}
"""Kinds of steps, and of the work that each is."""
_ITS_OWN: Final = frozenset(("gate", "flow"))
_PATIENT: Final = 60
_AGAIN_SECONDS: Final = 1.0
_OF_TASKS: Final = ("title", "prompt", "options", "review", "budgets", "step_seconds")
_MAX_TITLE: Final = 300
_MAX_ERROR: Final = 2_000
NOBODY: Final = "nobody stands behind the run whose task or job it would be"


class StepsWithWork:
    """See `attempts.Steps`: those of a worker, and work that others do.

    Args:
        others: all other steps.
        works: by kind: task, job. Gates it opens itself, and begins runs of other flows; of kinds that are not there
            it begins none.
        children: begins those runs.
    """

    def __init__(
        self, database: Database, others: Steps, works: Mapping[str, Work], children: ChildRuns | None = None
    ) -> None:
        self._database, self._others, self._works = database, others, works
        self._gates, self._children = GateWork(database), children or ChildRuns(database)

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        """Work is begun under a key."""
        return (not undoes and self._is_mine(step)) or self._others.is_repeatable(step, undoes=undoes)

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        """Begin the work of a step, or do it here."""
        if given.tool or not self._is_mine(step):
            return await self._others.attempt(step, given)
        try:
            return await self._patiently(step, given)
        except Unavailable as error:
            return Attempted(error=error.detail, kind="transient")
        except PavoError as error:
            return Attempted(error=f"{error.detail} {error.remedy or ''}".strip()[:_MAX_ERROR])

    def _is_mine(self, step: WrittenStep) -> bool:
        return step.kind in _ITS_OWN or KINDS.get(step.kind) in self._works

    async def _patiently(self, step: WrittenStep, given: Given) -> Attempted:
        """A reply that was lost may be to work that was begun: given up at once, that would go on without anybody."""
        for _ in range(_PATIENT):
            try:
                return await self._begin(step, given)
            except Unavailable as error:
                logger.info("Step %s of run %s is begun later: %s", given.key.step, given.run_id, error)
            await asyncio.sleep(_AGAIN_SECONDS)
        return await self._begin(step, given)

    async def _begin(self, step: WrittenStep, given: Given) -> Attempted:
        if step.gate is not None:
            return Attempted(awaits=Awaited(WORK, await self._gates.open(step, given)))
        if step.flow is not None:
            return Attempted(awaits=Awaited(RUN, await self._children.begin(step, given)))
        who = await acting(self._database, given)
        if who is None:
            return Attempted(error=NOBODY)
        kind = KINDS[step.kind]
        work, values = self._works[kind], dict[str, Any](given.values["with"])
        body = _task(step, given, values) if kind == "task" else {**values, "repository": step.job}
        made = await work.make(who, body, f"{given.idempotency_key}#{given.attempt}")
        await work.begin(who, made)
        return Attempted(awaits=Awaited(kind, made))


async def acting(database: Database, given: Given) -> Identity | None:
    """Who began the run, as who acts in its organisation; None: nobody who may."""
    async with database.reading() as session:
        creator = await awaited.creator(session, given.run_id)
        return None if creator is None else await identity_in(session, creator, given.organisation_id)


def _task(step: WrittenStep, given: Given, values: dict[str, Any]) -> Mapping[str, Any]:
    """What is not of the task itself is given to its agent behind the prompt."""
    own = {name: values.pop(name) for name in _OF_TASKS if name in values}
    prompt = "\n\n".join([str(own.get("prompt", "")), *_further(values)])
    body = {"title": own.get("title") or _title(step, given), "prompt": prompt, "agent_type": step.agent}
    body |= {"agent_options": own.get("options", {}), "auto_accept": not own.get("review", False)}
    return body | {name: own[name] for name in ("budgets", "step_seconds") if name in own}


def _title(step: WrittenStep, given: Given) -> str:
    item = "" if given.key.item is None else f" [{given.key.item}]"
    return f"{step.title or given.key.step}{item}"[:_MAX_TITLE]


def _further(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name}:\n{value if isinstance(value, str) else encode_text(value)}"
