"""What the workflow of a job is told of a command's result."""

from typing import Final

from pavo.jobs import contracts as c
from pavo.protocol import fleet_pb2 as pb

EXPECTED: Final = {
    c.START_EXECUTION: "executed",
    c.RUN_VERIFICATION: "verified",
    c.CREATE_PULL_REQUEST: "published",
    c.CLEANUP: "cleaned",
    c.MAKE_PLAN: "planned",
    c.KEEP_LATE_WORK: "published",
}
WRONG_RESULT: Final = "WrongResult"
"""Type of the error where an agent answers a command with the result of another kind."""


def outcome_of(kind: str, result: pb.Result) -> c.CommandOutcome:
    """What came of a command of this kind."""
    found = result.WhichOneof("outcome")
    if found == "failure":
        failure = result.failure
        return c.CommandOutcome(c.OUTCOME_FAILED, error=failure.type or "Failed", retryable=failure.retryable)
    if found == "cancelled":
        return c.CommandOutcome(c.OUTCOME_CANCELLED, killed=min(result.cancelled.killed, 2**31))
    if found != EXPECTED.get(kind):
        return c.CommandOutcome(c.OUTCOME_FAILED, error=WRONG_RESULT)
    passed = all(check.exit_code == 0 and not check.timed_out for check in result.verified.checks)
    changed = found == "executed" and result.executed.changed
    return c.CommandOutcome(c.OUTCOME_DONE, changed=changed, passed=found == "verified" and passed)


def commit_of(result: pb.Result) -> tuple[str, str]:
    """The commit and the pushed branch that a result names; empty where it names none."""
    if result.HasField("published"):
        return result.published.commit[:100], result.published.branch[:500]
    return (result.executed.commit[:100] if result.HasField("executed") else ""), ""
