"""`KeepLateWork`: what a lost attempt has changed reaches the server, on its fenced branch and nowhere else."""

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.patches import Patches
from pavo.remote.commands.verify import AGAIN
from pavo.remote.errands.errand import INFO, Credentials, Errand
from pavo.remote.errands.failures import PUSH_REFUSED, failed
from pavo.remote.work import PUBLISHING, Work
from pavo.remote.workspaces import Workspaces


class LateWorkHandler:
    """A handler."""

    def __init__(self, workspaces: Workspaces, credentials: Credentials, patches: Patches) -> None:
        self._workspaces, self._credentials, self._patches = workspaces, credentials, patches

    async def __call__(self, work: Work) -> pb.Result:
        """Commit what is left, and push it. Done again, it finds what was done. Nothing is pushed, and the commit is
        empty, where the attempt changed nothing.

        Raises:
            CommandFailed: it was not pushed, or there is no worktree.
        """
        work.stage(PUBLISHING)
        await work.put_by(AGAIN)
        request, errand = work.command.keep_late_work, Errand.of(work, self._credentials)
        workspace = self._workspaces.find(errand.job_id, errand.epoch)
        if request.push_branch in ("", request.branch, workspace.branch, request.base_branch):
            told = f"A lost attempt pushes to a branch of its own, not to {request.push_branch!r:.200}."
            raise failed(PUSH_REFUSED, told, "Look at the gateway's version.")
        message = request.commit_message.strip() or request.push_branch
        found = await self._workspaces.commit(workspace, message, errand)
        if found.commit == workspace.start_commit:
            await errand.log("agent", INFO, "The lost attempt has changed nothing: there is nothing to keep.")
            return pb.Result(published=pb.Published())
        await self._patches.keep(workspace, found, errand)
        await self._workspaces.push(workspace, found.commit, request.push_branch, errand)
        await errand.log("agent", INFO, f"What the lost attempt has changed is kept on {request.push_branch}.")
        return pb.Result(published=pb.Published(commit=found.commit, branch=request.push_branch))
