"""The patch of an attempt, kept with its job: what it has changed against its base, whatever becomes of the attempt.

That it cannot be made or sent is told in the job's log and fails nothing. It is sent once for the same changes, and
again by another life of the agent that died while it sent it.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.connection import Gateway, SentFile
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.errands.errand import INFO, WARNING, Errand
from pavo.remote.git.snapshots import Difference, Workspace
from pavo.remote.work import CommandFailed
from pavo.remote.workspaces import Workspaces

NAME: Final = "patch"
MEDIA_TYPE: Final = "text/x-diff"
MAX_BYTES: Final = 20_000_000
"""Of a patch; what is larger is not sent, and the file says so."""
KEEP_SECONDS: Final = 120.0
"""For all of it: what waits for it is not held up longer."""
SPARED_SECONDS: Final = 5.0
"""Of a command's time, that are left to it."""
TRIES: Final = 3
PAUSE_SECONDS: Final = 2.0
"""Between two tries."""
_MAX_NAMED: Final = 2_000
_READ_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Patches:
    """Of one agent."""

    workspaces: Workspaces
    gateway: Gateway

    async def keep(self, workspace: Workspace, found: Difference, errand: Errand) -> None:
        """Have the patch of this difference kept, unless it is."""
        files, mark = self.workspaces.patch_files(workspace), f"{found.base}..{found.tree}"
        if not found.changed or files.sent == mark:
            return
        seconds = _seconds(errand)
        try:
            async with asyncio.timeout(seconds):
                kept = await self._keep(workspace, found, errand)
        except (CommandFailed, NotConnected, OSError, TimeoutError) as error:  # TimeoutError: none of OSError's in 3.10
            why = getattr(error, "detail", None) or str(error) or f"that took longer than {seconds:g} s."
            await errand.log("agent", WARNING, f"The patch is not kept with the job: {why}")
            return
        finally:
            files.forget()
        files.note_sent(mark)
        await errand.log("agent", INFO, f"The patch is kept with the job: {kept.bytes:,} bytes.")

    async def _keep(self, workspace: Workspace, found: Difference, errand: Errand) -> pb.ArtifactKept:
        files = self.workspaces.patch_files(workspace)
        if not await self.workspaces.write_patch(workspace, found, MAX_BYTES):
            files.write_note(_too_large(found))
            told = f"The patch has more than {MAX_BYTES:,} bytes, and is not kept: its file names what was changed."
            await errand.log("agent", WARNING, told)
        return await self._send(errand, files.place)

    async def keep_last(self, job_id: str, epoch: int, errand: Errand) -> None:
        """Before a worktree is removed: have its patch kept, where none was since its program began last."""
        try:
            workspace = self.workspaces.find(job_id, epoch)
            if workspace.is_of_plan or self.workspaces.patch_files(workspace).sent:
                return
            found = await self.workspaces.difference(workspace, errand)
        except CommandFailed:  # there is none, or nothing can be read of it
            return
        await self.keep(workspace, found, errand)

    async def _send(self, errand: Errand, place: Path) -> pb.ArtifactKept:
        file = SentFile(place, NAME, MEDIA_TYPE, *await asyncio.to_thread(_measured, place))
        for left in range(TRIES - 1, -1, -1):
            try:
                kept = await self.gateway.put_file((errand.job_id, errand.epoch), file)
                if kept.sha256 == file.sha256:
                    return kept
                error = NotConnected("The gateway has kept something else.", "Look at the gateway's version.")
            except Refused:
                raise
            except NotConnected as found:
                error = found
            if not left:
                raise error
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError


def _seconds(errand: Errand) -> float:
    """For a patch: its command, whose own work is done, is not to run out of time for it."""
    left = errand.seconds_left()
    return KEEP_SECONDS if left is None else min(KEEP_SECONDS, max(left - SPARED_SECONDS, 1.0))


def _measured(place: Path) -> tuple[int, str]:
    """Bytes, and SHA-256 in hex."""
    found, size = hashlib.sha256(), 0
    with place.open("rb") as file:
        while content := file.read(_READ_BYTES):
            found.update(content)
            size += len(content)
    return size, found.hexdigest()


def _too_large(found: Difference) -> str:
    """What stands in the place of a patch that is too large: no patch, so nobody applies a part of one."""
    named = [f"{each.change} {each.path!r} (+{each.added} -{each.removed})" for each in found.files[:_MAX_NAMED]]
    more = f"and {len(found.files) - len(named)} more" if len(found.files) > len(named) else ""
    head = f"This is no patch: it would have more than {MAX_BYTES:,} bytes. The branch of the job has it once pushed."
    return "\n".join([head, "What was changed:", *named, *([more] if more else []), ""])
