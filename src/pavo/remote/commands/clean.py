"""`Cleanup`: of an attempt nothing is left on the machine but its repository's objects; its job has its patch."""

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.patches import Patches
from pavo.remote.errands.errand import Credentials, Errand
from pavo.remote.work import CLEANING, Work
from pavo.remote.workspaces import Workspaces


class CleaningHandler:
    """A handler."""

    def __init__(self, workspaces: Workspaces, credentials: Credentials, patches: Patches) -> None:
        self._workspaces, self._credentials, self._patches = workspaces, credentials, patches

    async def __call__(self, work: Work) -> pb.Result:
        """Remove the worktree of an attempt; that there is none is no failure, and another try goes on."""
        work.stage(CLEANING)
        wanted, errand = work.command.cleanup, Errand.of(work, self._credentials)
        await work.until_cancelled(self._patches.keep_last(wanted.job_id, wanted.epoch, errand))
        freed = await self._workspaces.remove(wanted.job_id, wanted.epoch)
        return pb.Result(cleaned=pb.Cleaned(freed_bytes=freed))
