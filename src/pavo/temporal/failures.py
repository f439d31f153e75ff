"""Translating Temporal's errors once."""

from collections.abc import Generator
from contextlib import contextmanager

from temporalio.service import RPCError, RPCStatusCode

from pavo.errors import Unavailable


class NoSuchRun(Exception):
    """No run of this workflow is open (or it is unknown): the caller knows what that means."""


@contextmanager
def translated() -> Generator[None, None, None]:
    """RPC errors become `NoSuchRun` or `Unavailable`; failures of workflows and updates pass."""
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NoSuchRun(str(error)) from error
        raise Unavailable(f"Temporal does not take the command: {error}", dependency="temporal") from error
