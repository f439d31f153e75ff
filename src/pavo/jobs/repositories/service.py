"""Use cases of an organisation's repositories. Who may call which is decided by the endpoints."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.secrets.service import SecretService
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.jobs.repositories import repository
from pavo.jobs.repositories.domain import MAX_REPOSITORIES, Repository, RepositoryValues, checked
from pavo.kit.sql import Database


class RepositoryService:
    """Repositories of organisations.

    Args:
        database: Pavo's database.
        secrets: what their credentials are.
    """

    def __init__(self, database: Database, secrets: SecretService) -> None:
        self._database = database
        self._secrets = secrets

    async def add(self, organisation_id: uuid.UUID, given: RepositoryValues, by: uuid.UUID | None) -> Repository:
        """A new repository.

        Raises:
            InvalidInput: a value is none, or there is no such secret.
            Conflict: its name is taken, or there are as many as there may be.
        """
        values = await self._checked(organisation_id, given)
        async with self._database.transaction() as session:
            if await repository.count(session, organisation_id) >= MAX_REPOSITORIES:
                raise Conflict(
                    f"There are {MAX_REPOSITORIES} repositories, as many as there may be.", remedy="Remove one."
                )
            repository_id = await repository.add(session, organisation_id, values, by)
            if repository_id is None:
                raise _taken(values.name)
            return await _get(session, organisation_id, repository_id)

    async def all_of(self, organisation_id: uuid.UUID) -> list[Repository]:
        """The organisation's repositories, by name."""
        async with self._database.reading() as session:
            return await repository.all_of(session, organisation_id)

    async def get(self, organisation_id: uuid.UUID, repository_id: uuid.UUID) -> Repository:
        """One of them.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.reading() as session:
            return await _get(session, organisation_id, repository_id)

    async def change(
        self, organisation_id: uuid.UUID, repository_id: uuid.UUID, changes: Mapping[str, Any]
    ) -> Repository:
        """Change what is given; it holds for every command that is made from now on.

        Args:
            changes: new values by the names of `RepositoryValues`.

        Raises:
            NotFound: as `get`.
            InvalidInput, Conflict: as `add`.
        """
        before = await self.get(organisation_id, repository_id)
        await self._checked(organisation_id, replace(before.values, **changes))
        async with self._database.transaction() as session:
            await _lock(session, organisation_id, repository_id)
            # Read again: somebody else may have changed another value meanwhile.
            now = (await _get(session, organisation_id, repository_id)).values
            values = checked(replace(now, **changes))
            if await repository.is_taken(session, organisation_id, values.name, but=repository_id):
                raise _taken(values.name)
            await repository.change(session, repository_id, values)
            return await _get(session, organisation_id, repository_id)

    async def remove(self, organisation_id: uuid.UUID, repository_id: uuid.UUID) -> None:
        """Remove it: it takes no more jobs, and those that are over go on showing it.

        Raises:
            NotFound: as `get`.
            Conflict: jobs of it are queued or in progress.
        """
        async with self._database.transaction() as session:
            await _lock(session, organisation_id, repository_id)
            open_jobs = await repository.open_jobs(session, repository_id)
            if open_jobs:
                raise Conflict(
                    f"{open_jobs} of its jobs are queued or in progress.",
                    field="repository_id",
                    remedy="Let them end, or cancel them: pavo job cancel JOB.",
                )
            await repository.remove(session, repository_id)

    async def _checked(self, organisation_id: uuid.UUID, given: RepositoryValues) -> RepositoryValues:
        values = checked(given)
        name = values.credential
        if name is not None and name not in [each.name for each in await self._secrets.all_of(organisation_id)]:
            raise InvalidInput(
                f"The organisation has no secret {name[:100]!r}.",
                field="credential",
                remedy="Set it first, as by: pavo secret set NAME. Or leave it out, where no credential is needed.",
            )
        return values


async def chosen(session: AsyncSession, organisation_id: uuid.UUID, reference: str) -> Repository:
    """The repository with this id or name, held for a job that is added to it in the same transaction.

    Raises:
        InvalidInput: there is none; `field` is `repository`.
    """
    found = await repository.named(session, organisation_id, reference.strip())
    if found is None:
        try:
            found = await repository.find(session, organisation_id, uuid.UUID(reference.strip()))
        except ValueError:
            found = None
    if found is None or not await repository.lock(session, organisation_id, found.id, shared=True):
        raise InvalidInput(
            f"The organisation has no repository {reference[:100]!r}.",
            field="repository",
            remedy="See them with: pavo repo list. Add one: pavo repo add NAME CLONE_URL.",
        )
    return found


async def _get(session: AsyncSession, organisation_id: uuid.UUID, repository_id: uuid.UUID) -> Repository:
    found = await repository.find(session, organisation_id, repository_id)
    if found is None:
        raise _unknown()
    return found


async def _lock(session: AsyncSession, organisation_id: uuid.UUID, repository_id: uuid.UUID) -> None:
    if not await repository.lock(session, organisation_id, repository_id):
        raise _unknown()


def _unknown() -> NotFound:
    return NotFound("There is no such repository.", field="repository_id", remedy="See them with: pavo repo list")


def _taken(name: str) -> Conflict:
    return Conflict(
        f"There is a repository {name!r} already.", field="name", remedy="Choose another name, or change that one."
    )
