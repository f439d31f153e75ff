"""`Cleanup`: nothing of an attempt is left on the machine but its repository's objects."""

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.work import CLEANING, Work
from pavo.remote.workspaces import Workspaces


class CleaningHandler:
    """A handler."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def __call__(self, work: Work) -> pb.Result:
        """Remove the worktree of an attempt; that there is none is no failure, and another try goes on."""
        work.stage(CLEANING)
        wanted = work.command.cleanup
        freed = await self._workspaces.remove(wanted.job_id, wanted.epoch)
        return pb.Result(cleaned=pb.Cleaned(freed_bytes=freed))
