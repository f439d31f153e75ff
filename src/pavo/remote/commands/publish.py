"""`CreatePullRequest`: what was done is committed, pushed and proposed."""

from pavo.forges.port import FAILURE, SUCCESS, CommitStatus
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.patches import Patches
from pavo.remote.commands.publishing import Publication, publish
from pavo.remote.commands.verify import AGAIN
from pavo.remote.errands.errand import Credentials, Errand
from pavo.remote.work import PUBLISHING, Work
from pavo.remote.workspaces import Workspaces


class PublishingHandler:
    """A handler."""

    def __init__(self, workspaces: Workspaces, credentials: Credentials, patches: Patches) -> None:
        self._workspaces, self._credentials, self._patches = workspaces, credentials, patches

    async def __call__(self, work: Work) -> pb.Result:
        """Publish. Where nothing differs from the base branch, `Published.commit` is empty and nothing was pushed."""
        work.stage(PUBLISHING)
        await work.put_by(AGAIN)  # it finds what was done
        done = await publish(self._workspaces, self._patches, Errand.of(work, self._credentials), _wanted(work.command))
        published = pb.Published(
            url=done.url, number=done.number, commit=done.commit, branch=done.branch, updated=done.updated
        )
        return pb.Result(published=published)


def _wanted(command: pb.Command) -> Publication:
    request = command.create_pull_request
    repository = request.repository
    return Publication(
        repository.clone_url,
        repository.forge,
        repository.forge_url,
        request.base_branch or repository.default_branch,
        request.branch,
        request.push_branch,
        request.title,
        request.body,
        request.commit_message,
        request.draft,
        _status(request),
    )


def _status(request: pb.CreatePullRequest) -> CommitStatus | None:
    told = request.status
    if told.state not in (SUCCESS, FAILURE):
        return None
    return CommitStatus(told.state, told.context, told.description, told.url)
