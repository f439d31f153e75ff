"""HTTP of an organisation's repositories: parse, call one service method, return."""

import uuid

from fastapi import APIRouter

from pavo.accounts.dependencies import OwnedOrganisation, OwnOrganisation
from pavo.jobs.dependencies import TheRepositories
from pavo.jobs.repositories.schemas import (
    RepositoryCreate,
    RepositoryEdit,
    RepositoryList,
    RepositoryOut,
    repository_out,
)
from pavo.kit.problem import problems

router = APIRouter(
    prefix="/api/orgs/{organisation_id}/repositories", tags=["repositories"], responses=problems(401, 404, 422)
)


@router.get("", operation_id="list_repositories")
async def list_repositories(repositories: TheRepositories, mine: OwnOrganisation) -> RepositoryList:
    """The organisation's repositories, by name."""
    return RepositoryList(items=[repository_out(each) for each in await repositories.all_of(mine.organisation_id)])


@router.post("", status_code=201, operation_id="add_repository", responses=problems(409))
async def add_repository(
    repositories: TheRepositories, owner: OwnedOrganisation, new: RepositoryCreate
) -> RepositoryOut:
    """Add a repository, for jobs to work in. For owners."""
    return repository_out(await repositories.add(owner.organisation_id, new.values(), owner.user_id))


@router.get("/{repository_id}", operation_id="get_repository")
async def get_repository(
    repositories: TheRepositories, mine: OwnOrganisation, repository_id: uuid.UUID
) -> RepositoryOut:
    """One repository."""
    return repository_out(await repositories.get(mine.organisation_id, repository_id))


@router.patch("/{repository_id}", operation_id="edit_repository", responses=problems(409))
async def edit_repository(
    repositories: TheRepositories, owner: OwnedOrganisation, repository_id: uuid.UUID, change: RepositoryEdit
) -> RepositoryOut:
    """Change a repository; it holds for every command that an agent gets from now on. For owners."""
    return repository_out(await repositories.change(owner.organisation_id, repository_id, change.changes()))


@router.delete("/{repository_id}", status_code=204, operation_id="remove_repository", responses=problems(409))
async def remove_repository(repositories: TheRepositories, owner: OwnedOrganisation, repository_id: uuid.UUID) -> None:
    """Remove a repository that no job is queued or in progress in. Jobs that are over stay. For owners."""
    await repositories.remove(owner.organisation_id, repository_id)
