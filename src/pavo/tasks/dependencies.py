"""The services that endpoints call, found on the application."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.watching import WatchService


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases of tasks."""

    tasks: TaskService
    review: ReviewService
    watching: WatchService


def services_of(connection: HTTPConnection) -> Services:
    """The services that `api.create_app` put on the application."""
    services: Services = connection.app.state.services["task"]
    return services
