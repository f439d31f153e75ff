"""Results of commands that were not carried out."""

import logging
import traceback
from typing import Final

from pavo.kit.texts.storable import storable
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import MAX_BODY_BYTES

logger = logging.getLogger(__name__)

TOLD: Final = 8_000
"""Characters of a failure's cause."""


def failed(command: pb.Command, kind: str, cause: str, remedy: str, *, retryable: bool = False) -> pb.Result:
    """Why it was not, and what to do about it."""
    failure = pb.Failure(type=kind, cause=cause, remedy=remedy, retryable=retryable)
    return pb.Result(command_id=command.id, job_id=command.job_id, epoch=command.epoch, failure=failure)


def agent_failed(command: pb.Command, error: Exception) -> pb.Result:
    """The agent program itself has failed; logged with its traceback."""
    logger.error("Command %s failed", command.id, exc_info=error)
    cause = storable("".join(traceback.format_exception(error))[-TOLD:], TOLD)
    return failed(command, "AgentFailed", cause, "Look at the agent's log, and upgrade it where it is old.")


def too_large(command: pb.Command, size: int) -> pb.Result:
    """What was done cannot be told."""
    cause = f"The result has {size:,} bytes; the protocol takes {MAX_BODY_BYTES:,}."
    return failed(command, "ResultTooLarge", cause, "Have the job change fewer files, or its checks print less.")


def restarted(command: pb.Command) -> pb.Result:
    """An earlier life of the program had begun it."""
    cause = "The agent program ended while it carried this out; what it had started was ended."
    return failed(command, "AgentRestarted", cause, "It is done again.", retryable=True)
