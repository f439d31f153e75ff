"""Asking a model on behalf of an organisation: by its endpoints, within its budgets, counted as every call is."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.calling.completion import ModelAnswer, checked_completion
from pavo.errors import AgentRefused, Conflict, InvalidInput, PavoError, Unavailable
from pavo.flows.generated.prompt import Message
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.llm import journal
from pavo.llm.calls import Caller, ModelCalls
from pavo.timeline import service as timeline
from pavo.usage import abandoned
from pavo.usage.domain import Payer, Sums
from pavo.usage.runs import of_calls

logger = logging.getLogger(__name__)

AGENT: Final = "flow-generator"
"""What the calls are counted as; the rules of PAVO_LLM_MODELS may name it."""
SCOPE: Final = "flow generation"
NOUN: Final = "request"
CALL_SECONDS: Final = 150.0
"""For one call, with everything that it is tried again."""
TRIES: Final = 2
BEGIN_SECONDS: Final = 200.0
"""No call begins later than so long after the first one."""
MAX_OUTPUT: Final = 8_000
"""Tokens of an answer: a flow of some hundred steps."""
CUT_AFTER: Final = timedelta(hours=1)
"""No call lasts so long: one that is older was cut by a crash, and counts by its estimate."""
_EPOCH: Final = 1
_OF_TASKS: Final = " Then resume the task."


def subject_of(organisation_id: uuid.UUID) -> Subject:
    """What all of an organisation's generations are calls of: they have no runs of their own."""
    return Subject(uuid.uuid5(organisation_id, SCOPE), organisation_id, SCOPE, NOUN)


class OrganisationsModel:
    """The model, for one generation. Use it as a context: at its end what was recorded is removed.

    Args:
        models: with `CALL_SECONDS` and `TRIES`.
        model: which one, as agents name them; None: the deployment's.
    """

    def __init__(
        self, database: Database, models: ModelCalls, organisation_id: uuid.UUID, user_id: uuid.UUID, model: str | None
    ) -> None:
        self._database, self._models, self._model = database, models, model
        self._subject, self._name = subject_of(organisation_id), f"{new_id()}/"
        payer = Payer(self._subject, user_id, AGENT, noun=NOUN, asks=False)
        self._caller = Caller(self._subject, _EPOCH, self._holds, payer)
        self._until = asyncio.get_running_loop().time() + BEGIN_SECONDS

    async def __aenter__(self) -> "OrganisationsModel":
        async with self._database.transaction() as session:
            await timeline.begin_silent(session, self._subject.id)
            await abandoned.count_older(session, self._subject.id, CUT_AFTER)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            async with self._database.transaction() as session:
                await journal.forget(session, self._subject, self._name, CUT_AFTER)
        except Unavailable as error:  # what was paid for is worth more; a later generation removes them
            logger.warning("Answers of models stay for a while: %s", error.detail)

    async def spent(self) -> Sums:
        """What the calls of this generation took; tries that were lost are not among them."""
        async with self._database.reading() as session:
            return await of_calls(session, await journal.ids(session, self._subject, self._name))

    @property
    def may_ask(self) -> bool:
        """Whether another call may begin."""
        return asyncio.get_running_loop().time() < self._until

    async def ask(self, messages: Sequence[Message], number: int) -> Mapping[str, Any]:
        """The chat completion.

        Raises:
            InvalidInput: `model` is no name of one.
            Conflict: no model is configured or permitted, or a budget does not suffice.
            Unavailable: there is no answer now.
        """
        body: dict[str, Any] = {"messages": [dict(each) for each in messages], "max_tokens": MAX_OUTPUT}
        try:
            request = checked_completion({**body, **({"model": self._model} if self._model else {})}, None, None)
        except AgentRefused as error:
            told = error.detail.removeprefix("complete(): request.")
            raise InvalidInput(told, field="model", remedy=error.remedy) from error
        answer = await self._models.complete(self._caller, request.named(f"{self._name}{number}"))
        if answer.value is None:
            raise _failure(answer)
        return answer.value

    async def _holds(self, session: AsyncSession, epoch: int) -> bool:
        return await timeline.is_kept(session, self._subject.id)


def _failure(answer: ModelAnswer) -> PavoError:
    told = answer.error or "There is no answer."
    remedy = (answer.remedy or "Try again later.").replace(_OF_TASKS, "")
    if answer.refused:
        return Conflict(told, field="model", remedy=remedy)
    return Unavailable(told, dependency="model", retry_after=10, remedy=remedy)
