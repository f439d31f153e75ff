"""What tests of flows share."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from sqlalchemy import text as sql

from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.names import Known
from pavo.flows.definition.problems import WrongDefinition
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.trial import Fake, Trial, Tried
from pavo.kit.sql import Database

Try: TypeAlias = Callable[..., Tried]


@pytest.fixture(scope="session")
def evaluator() -> Iterator[Evaluator]:
    found = Evaluator()
    yield found
    found.close()


@pytest.fixture
def define(evaluator: Evaluator) -> Callable[..., Definition]:
    def defined(text: str, known: Known | None = None) -> Definition:
        return definition_of(text, evaluator.wrong, known)

    return defined


@pytest.fixture
def problems(define: Callable[..., Definition]) -> Callable[..., list[str]]:
    """All that is told of a wrong flow."""

    def told(text: str | bytes, known: Known | None = None) -> list[str]:
        with pytest.raises(WrongDefinition) as wrong:
            define(text, known)
        assert all(each.remedy for each in wrong.value.problems)
        return [each.told for each in wrong.value.problems]

    return told


@pytest.fixture
def tried(define: Callable[..., Definition], evaluator: Evaluator) -> Try:
    def run(text: str, inputs: Mapping[str, Any] | None = None, **fakes: Fake) -> Tried:
        return Trial(define(text), evaluator, fakes).run(inputs or {})

    return run


@pytest_asyncio.fixture
async def organisation(database: Database) -> AsyncIterator[uuid.UUID]:
    """One whose flows are run; they go with it."""
    found = uuid.uuid4()
    async with database.transaction() as session:
        await session.execute(sql("INSERT INTO organisations (id, name) VALUES (:id, 'o')"), {"id": found})
    yield found
    async with database.transaction() as session:
        await session.execute(sql("DELETE FROM organisations WHERE id = :id"), {"id": found})
