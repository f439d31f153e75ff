"""`RunVerification`: the repository's commands judge what the coding program did."""

from collections.abc import Iterable
from pathlib import Path

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.checks import SHELL, VERIFY, Check, environment, run_checks
from pavo.remote.errands.errand import Credentials, Errand
from pavo.remote.git.snapshots import Workspace
from pavo.remote.programs.sandbox import Confinement, Reach, Sandboxes, confined
from pavo.remote.work import VERIFYING, Work
from pavo.remote.workspaces import Workspaces

AGAIN = b"again"
"""Put by: after a restart of the agent this command is simply done again."""


class VerifyingHandler:
    """A handler."""

    def __init__(self, workspaces: Workspaces, credentials: Credentials, here: Sandboxes) -> None:
        self._workspaces, self._credentials, self._here = workspaces, credentials, here

    async def __call__(self, work: Work) -> pb.Result:
        """Run all checks in the attempt's worktree; one that fails is a result, and no failure."""
        work.stage(VERIFYING)
        await work.put_by(AGAIN)
        errand = Errand.of(work, self._credentials)
        workspace = self._workspaces.find(errand.job_id, errand.epoch)
        home = self._workspaces.home_of(errand.job_id, errand.epoch)
        env, checks = environment(home), checks_of(work.command.run_verification.checks)
        # What the program has written may be what a check runs, so it is confined as the program was.
        wanted = Confinement.of_note(workspace.confinement)
        shell = confined(wanted.kind, self._here, SHELL, reach_of(workspace, home, wanted))
        found = await run_checks(checks, VERIFY, place=Path(workspace.place), env=env, errand=errand, shell=shell)
        results = [
            pb.CheckResult(
                name=each.name, exit_code=each.exit_code, seconds=each.seconds, timed_out=each.timed_out, tail=each.tail
            )
            for each in found
        ]
        return pb.Result(verified=pb.Verified(checks=results))


def checks_of(told: Iterable[pb.Check]) -> list[Check]:
    """As the gateway tells them."""
    return [Check(each.name or f"check {at}", each.command, each.timeout_seconds) for at, each in enumerate(told, 1)]


def reach_of(workspace: Workspace, home: Path, wanted: Confinement) -> Reach:
    """What commands of the repository reach in an attempt's worktree."""
    writable = tuple(str(each) for each in workspace.writable)
    return Reach(workspace.place, str(home), writable, wanted.readable, wanted.network)
