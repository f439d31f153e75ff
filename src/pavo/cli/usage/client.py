"""What the command line asks the API about usage and budgets."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pavo.cli.api_client import ApiClient
from pavo.cli.jobs.client import OrganisationClient
from pavo.cli.jobs.job_client import JobClient
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import resolve
from pavo.errors import InvalidInput
from pavo.usage.schemas import BudgetList, BudgetOut, UsageOut


class UsageClient:
    """Usage and budgets of one user's organisations; every method raises `PavoError`s as `ApiClient` does."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    @contextmanager
    def from_environment(cls, url: str | None = None) -> Generator["UsageClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api)

    def task(self, ref: str | None) -> uuid.UUID | None:
        """The task that is meant; None: none is named."""
        return None if ref is None else resolve(TaskClient(self._api), ref).id

    def run(self, task: str | None, job: str | None) -> uuid.UUID | None:
        """The task or the coding job that is meant; None: neither is named.

        Raises:
            InvalidInput: both are.
        """
        if job is None:
            return self.task(task)
        if task is not None:
            raise InvalidInput("A task and a job are named.", field="--job", remedy="Name one of them.")
        return JobClient(OrganisationClient(self._api, None)).resolve(job).id

    def usage(self, **chosen: Any) -> UsageOut:
        """What was used."""
        return self._api.ask(UsageOut, "GET", "/api/usage", params=_given(chosen))

    def budgets(self, **chosen: Any) -> BudgetList:
        """Budgets."""
        return self._api.ask(BudgetList, "GET", "/api/budgets", params=_given(chosen))

    def set_budget(self, **budget: Any) -> BudgetOut:
        """Set one; sent again it is the same one."""
        return self._api.ask(BudgetOut, "PUT", "/api/budgets", json=_given(budget))

    def remove_budget(self, budget_id: uuid.UUID) -> None:
        """Remove one."""
        self._api.remove(f"/api/budgets/{budget_id}")


def _given(chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, uuid.UUID) else value
        for name, value in chosen.items()
        if value is not None
    }
