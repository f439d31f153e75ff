"""The use case: a flow for whoever asks, by the organisation's model. Nothing of it is kept but what it took."""

import uuid
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pavo.errors import InvalidInput, Unavailable
from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.generated.asking import OrganisationsModel
from pavo.flows.generated.examiner import ProposalExaminer
from pavo.flows.generated.generating import Generated, Wanted, generate
from pavo.flows.generated.prompt import Offered
from pavo.flows.generated.schemas import MAX_EDITED
from pavo.flows.published.service import PublishedFlows
from pavo.kit.json_values import plain
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.usage.domain import Sums, money

AT_ONCE: Final = 16
"""Of this process."""
AT_ONCE_EACH: Final = 2
"""Of one person."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for."""

    organisation_id: uuid.UUID
    user_id: uuid.UUID
    request: str
    text: str | None = None
    """The flow that is changed."""
    name: str | None = None
    """… or the name of a published one."""
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it."""

    generated: Generated
    spent: Sums
    currency: str


class FlowGenerator:
    """Belongs to one event loop.

    Args:
        models: see `asking.OrganisationsModel`.
    """

    def __init__(
        self, database: Database, models: ModelCalls, examiner: ProposalExaminer, published: PublishedFlows
    ) -> None:
        self._database, self._models, self._examiner, self._published = database, models, examiner, published
        self._asking: Counter[uuid.UUID] = Counter()

    async def generate(self, asked: Asked, offered: Offered) -> Answered:
        """Write a flow, or say why there is none.

        Raises:
            InvalidInput: two flows are to be changed, or one that is too long; or the model's name is none.
            NotFound: the organisation has no flow of that name.
            Conflict: no model is configured or permitted, or a budget does not suffice.
            Unavailable: the model gives no answer, or too many flows are being written.
        """
        before = await self._before(asked)
        wanted = Wanted(asked.request, offered, before, money(0, self._models.currency))
        model = OrganisationsModel(self._database, self._models, asked.organisation_id, asked.user_id, asked.model)
        with self._turn(asked.user_id):
            async with model:
                generated = await generate(model, self._examiner.examine, wanted)
                return Answered(generated, await model.spent(), self._models.currency)

    async def _before(self, asked: Asked) -> str | None:
        if asked.name is None:
            return asked.text
        if asked.text is not None:
            told = "Both a text and a name are given."
            raise InvalidInput(told, field="name", remedy="Give one of them: one flow is changed.")
        found = await self._published.version(asked.organisation_id, asked.name)
        text = yaml_of(plain(dict(found.definition))[0])
        if len(text) > MAX_EDITED:
            told = f"{asked.name} has {len(text):,} characters, and a model is given at most {MAX_EDITED:,}."
            raise InvalidInput(told, field="name", remedy="Change it by hand, or move steps into child flows.")
        return text

    @contextmanager
    def _turn(self, who: uuid.UUID) -> Generator[None]:
        if self._asking[who] >= AT_ONCE_EACH or self._asking.total() >= AT_ONCE:
            whose = "of yours " if self._asking[who] >= AT_ONCE_EACH else ""
            told = f"Other flows {whose}are being written."
            raise Unavailable(told, dependency="flows", retry_after=10, remedy="Repeat it once one is done.")
        self._asking[who] += 1
        try:
            yield
        finally:
            self._asking[who] -= 1
            if self._asking[who] <= 0:
                del self._asking[who]
