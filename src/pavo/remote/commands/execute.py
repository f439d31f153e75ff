"""`StartExecution` and `MakePlan`: a worktree, the repository's own preparations, and the coding program in it."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.checks import SHELL, environment, prepare
from pavo.remote.commands.patches import Patches
from pavo.remote.commands.verify import checks_of, reach_of
from pavo.remote.connection import Gateway
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.errands.errand import MODEL, WARNING, Credentials, Errand
from pavo.remote.errands.failures import CREDENTIAL_REFUSED
from pavo.remote.git.snapshots import Author, Difference, Workspace, plan_branch
from pavo.remote.programs.profile import Profile
from pavo.remote.programs.sandbox import Confinement, Kind, Sandboxes, confined
from pavo.remote.programs.starting import ModelAccess, Place, Ran, Starting, confinement_of
from pavo.remote.programs.verdict import judge
from pavo.remote.work import EXECUTING, PREPARING, CommandFailed, Work
from pavo.remote.workspaces import Beginning, Workspaces

MAX_SUMMARY: Final = 60_000
MAX_FILES: Final = 1_000
_PLAN: Final = """

Do not change anything yet. Look at what is there, and answer with a plan for this task alone: what you will change,
file by file, and how you will see that it works. People read it before it is carried out.
"""


@dataclass(frozen=True, slots=True)
class Executing:
    """What both commands need."""

    workspaces: Workspaces
    profiles: Mapping[str, Profile]
    here: Sandboxes
    credentials: Credentials
    gateway: Gateway
    patches: Patches

    async def execute(self, work: Work) -> pb.Result:
        """Carry out `StartExecution`.

        Raises:
            CommandFailed: it cannot be carried out, or the program did not do its work.
            CommandCancelled: it was told to end.
        """
        request = work.command.start_execution
        errand = Errand.of(work, self.credentials)
        if work.kept is not None:  # the program had ended: what it did is in the worktree
            return await self._executed(work, errand, pb.Executed.FromString(work.kept))
        profile, options = self._program(request.program)
        work.stage(PREPARING)
        adopted = request.adopted
        beginning = Beginning(adopted.branch, adopted.commit, author_of(request.repository))
        workspace = await work.until_cancelled(self._workspace(errand, request, request.branch, beginning))
        if request.round == 0 and workspace.begun_by not in ("", work.command.id):
            await self._put_aside(workspace, errand)
            workspace = await work.until_cancelled(self._workspace(errand, request, request.branch, beginning))
        if request.round == 0:
            kind = confinement_of(profile, options).kind
            await work.until_cancelled(self._prepare(workspace, errand, list(request.prepare), kind))
        work.check()
        work.stage(EXECUTING)
        if adopted.commit and request.round == 0 and not request.feedback:
            work.log(f"What attempt {adopted.epoch} has done is taken over: no program runs.")
            executed = pb.Executed(summary=adopted.summary, ended_by="adopted")
        else:
            ran = await self._run(work, workspace, profile, options, prompt_of(request), request.idle_seconds)
            judge(work, profile, ran)
            executed = _executed(ran)
        await work.put_by(executed.SerializeToString())
        return await self._executed(work, errand, executed)

    async def plan(self, work: Work) -> pb.Result:
        """Carry out `MakePlan`; what the program has changed meanwhile is thrown away.

        Raises:
            CommandFailed: there is no plan.
            CommandCancelled: it was told to end.
        """
        request = work.command.make_plan
        errand = Errand.of(work, self.credentials)
        profile, options = self._program(request.program)
        work.stage(PREPARING)
        branch = plan_branch(errand.job_id)
        workspace = await work.until_cancelled(self._workspace(errand, request, branch))
        try:
            prompt = _with_feedback(request.prompt + _PLAN, request.feedback)
            ran = await self._run(work, workspace, profile, options, prompt, 0)
            judge(work, profile, ran)
        finally:
            with contextlib.suppress(CommandFailed):
                await self.workspaces.remove(errand.job_id, errand.epoch)
        text = ran.heard.summary.strip()
        if not text:
            raise CommandFailed(
                f"{profile.name} said nothing that could be a plan.", kind="NoPlan", remedy="Look at the job's log."
            )
        return pb.Result(planned=pb.Planned(text=text[:MAX_SUMMARY]))

    def _program(self, asked: pb.Program) -> tuple[Profile, Mapping[str, Any]]:
        profile = self.profiles.get(asked.profile)
        if profile is None:
            known = ", ".join(sorted(self.profiles))
            remedy = "Choose one of them, or put a profile of it into the agent's folder --profiles."
            raise CommandFailed(
                f"This agent knows {known}, and not {asked.profile!r:.80}.", kind="NoProgram", remedy=remedy
            )
        try:
            options: Any = json.loads(asked.options or "{}")
        except (ValueError, RecursionError):
            options = None
        if not isinstance(options, dict):
            raise CommandFailed("The job's options are no JSON object.", kind="BadOptions", remedy="Correct them.")
        if asked.gateway and profile.gateway is None:
            remedy = "Leave the option gateway away, or add [gateway] to its profile."
            raise CommandFailed(f"{profile.name} cannot ask its models through Pavo.", kind="NoGateway", remedy=remedy)
        return profile, cast(dict[str, Any], options)

    async def _workspace(
        self,
        errand: Errand,
        request: pb.StartExecution | pb.MakePlan,
        branch: str,
        beginning: Beginning | None = None,
    ) -> Workspace:
        repository = request.repository
        base = request.base_branch or repository.default_branch
        return await self.workspaces.prepare(errand, repository.clone_url, base, branch, beginning)

    async def _put_aside(self, workspace: Workspace, errand: Errand) -> None:
        """A program was begun in it that did not come to its end: what it has changed is kept as the patch, and the
        next one begins in a worktree of its own."""
        await errand.log("agent", WARNING, "The program begins anew, in a new worktree: its last run had no end.")
        await self.patches.keep_last(workspace.job_id, workspace.epoch, errand)
        await self.workspaces.remove(workspace.job_id, workspace.epoch)

    async def _prepare(self, workspace: Workspace, errand: Errand, checks: list[pb.Check], kind: Kind) -> None:
        """Confined as the program will be, for a former one may have written what they run; with the network, from
        which they get what the program needs."""
        home = self.workspaces.home_of(errand.job_id, errand.epoch)
        shell = confined(kind, self.here, SHELL, reach_of(workspace, home, Confinement(kind)))
        env, place = environment(home), Path(workspace.place)
        await prepare(checks_of(checks), place=place, env=env, errand=errand, shell=shell)

    async def _run(
        self, work: Work, workspace: Workspace, profile: Profile, options: Mapping[str, Any], prompt: str, idle: int
    ) -> Ran:
        home = self.workspaces.home_of(workspace.job_id, workspace.epoch)
        place = Place(workspace.place, home, (workspace.git_directory, str(Path(workspace.git_directory).parents[1])))
        model = await self._model(work)
        self.workspaces.patch_files(workspace).note_sent("")
        wanted = confinement_of(profile, options)
        self.workspaces.note_begun(workspace, work.command.id, wanted.note)
        ran = await Starting(profile, options, place, self.here, model).run(work, prompt, idle or None)
        for pattern in profile.leavings:
            _remove_leavings(Path(workspace.place), pattern)
        return ran

    async def _model(self, work: Work) -> ModelAccess | None:
        command = work.command
        request = command.make_plan if command.HasField("make_plan") else command.start_execution
        if not request.program.gateway:
            return None
        asked = pb.CredentialRequest(job_id=command.job_id, epoch=command.epoch, purpose=MODEL)
        try:
            found = await self.gateway.credential(asked)
        except Refused as error:
            remedy = "Set up the model gateway, or leave the option gateway away."
            raise CommandFailed(error.detail, kind=CREDENTIAL_REFUSED, remedy=remedy) from error
        except NotConnected as error:
            raise CommandFailed(
                error.detail, kind="GatewayAway", remedy="It is tried again.", retryable=True
            ) from error
        return ModelAccess(found.base_url, found.password)

    async def _executed(self, work: Work, errand: Errand, executed: pb.Executed) -> pb.Result:
        workspace = self.workspaces.find(errand.job_id, errand.epoch)
        difference = await work.until_cancelled(self.workspaces.difference(workspace, errand))
        _add(executed, difference)
        if _answers_review(work.command.start_execution) and not difference.since_start and executed.changed:
            executed.changed = False
            work.log("Nothing was changed in answer to the review: there is nothing to publish.")
        await work.until_cancelled(self.patches.keep(workspace, difference, errand))
        return pb.Result(executed=executed)


def _answers_review(request: pb.StartExecution) -> bool:
    """Whether what was done before is published, so that only what comes on top counts."""
    return bool(request.feedback) and request.round == 0 and not request.adopted.commit


def author_of(repository: pb.Repository) -> Author:
    """Of commits in a repository, as the gateway tells it."""
    return Author(repository.author_name, repository.author_email)


def prompt_of(request: pb.StartExecution) -> str:
    """What the program is asked: the job's prompt, the plan that people accepted, and what is to be corrected."""
    text = request.prompt
    if request.plan:
        text += f"\n\n## The plan that was accepted\n\n{request.plan}"
    return _with_feedback(text, request.feedback)


def _with_feedback(text: str, feedback: str) -> str:
    return f"{text}\n\n## What is to be corrected\n\n{feedback}" if feedback else text


def _executed(ran: Ran) -> pb.Executed:
    heard, ended = ran.heard, ran.ended
    return pb.Executed(
        summary=heard.summary[-MAX_SUMMARY:].encode(errors="replace").decode(),
        exit_code=ended.exit_code if ended.exit_code is not None else -1,
        tokens=pb.Tokens(input=heard.input_tokens, output=heard.output_tokens),
        ended_by=ended.ended_by,
    )


def _add(executed: pb.Executed, difference: Difference) -> None:
    executed.changed = difference.changed
    executed.commit = difference.commit
    del executed.files[:]
    for each in difference.files[:MAX_FILES]:
        executed.files.add(path=each.path, change=each.change, added=each.added, removed=each.removed)


def _remove_leavings(worktree: Path, pattern: str) -> None:
    """What a program leaves that is no work of its own, at the top of the worktree alone."""
    for path in worktree.glob(pattern):
        with contextlib.suppress(OSError):
            if path.is_file() or path.is_symlink():
                path.unlink()
