"""Translating Temporal's errors once."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError, RPCStatusCode

from pavo.errors import Unavailable

_NOT_CONNECTED: Final = "Failed client connect"
"""So begins the error of a client that connects when it is used first."""


class NoSuchRun(Exception):
    """No run of this workflow is open, or the workflow is unknown; what that means depends on the caller."""


@contextmanager
def translated() -> Generator[None, None, None]:
    """Errors of RPCs and of connecting become `NoSuchRun` or `Unavailable`; failures of workflows and updates pass."""
    try:
        yield
    except RPCError as error:
        if _no_namespace(error):
            raise Unavailable(
                f"Temporal does not have the namespace: {error}",
                dependency="temporal",
                retry_after=5,
                remedy="Create the namespace in Temporal, or set TEMPORAL_NAMESPACE to one that exists and restart.",
            ) from error
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NoSuchRun(str(error)) from error
        raise Unavailable(f"Temporal does not take the command: {error}", dependency="temporal") from error
    except RuntimeError as error:
        if not str(error).startswith(_NOT_CONNECTED):
            raise
        raise Unavailable(f"Temporal cannot be reached: {error}", dependency="temporal") from error


def _no_namespace(error: RPCError) -> bool:
    """Whether the whole namespace is unknown rather than the workflow: the status is the same, the details differ."""
    if error.status != RPCStatusCode.NOT_FOUND:
        return False
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)
