"""What calls of a task's tools keep: files that they wrote into its workspace, and results that are long."""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.confinement.confining import Confining
from pavo.artifacts import recording
from pavo.artifacts.domain import WORKSPACE, checked_media_type
from pavo.artifacts.recording import ArtifactOwner, NewArtifact, Recorded
from pavo.artifacts.store import Staged
from pavo.artifacts.wiring import Keeping
from pavo.kit.sql import Database
from pavo.tools.contract import NoWorkspace, Workspace
from pavo.tools.described import Tool
from pavo.tools.results import MAX_KEPT_BYTES, is_short, long_content, reference, result_name
from pavo.tools.running import MAX_RESULT_BYTES, Outcome
from pavo.tools.workspaces.folder_workspace import FolderWorkspace

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Made:
    """What one call has made that is to be kept."""

    workspace: Workspace = field(default_factory=NoWorkspace)
    new: list[NewArtifact] = field(default_factory=list[NewArtifact])
    content: bytes = b""
    """Of the long result, which is the last of these; empty where there is none."""

    @property
    def may_hold_files(self) -> bool:
        """Whether a look at the disk could find anything; a turn on a thread costs more than most tools."""
        return bool(self.new) or isinstance(self.workspace, FolderWorkspace)


class ToolFiles:
    """The files of one task's calls; belongs to the agents' loop.

    Args:
        keeping: None: nothing can be kept.
        confining: knows where tasks have their folders.
    """

    def __init__(
        self, database: Database, keeping: Keeping | None, confining: Confining | None, owner: ArtifactOwner
    ) -> None:
        self._database = database
        self._keeping = keeping
        self._confining = confining
        self._owner = owner

    @property
    def most(self) -> int:
        """Bytes of a result."""
        return MAX_KEPT_BYTES if self._keeping is not None else MAX_RESULT_BYTES

    @asynccontextmanager
    async def of_call(self, tool: Tool) -> AsyncGenerator[Made]:
        """For one call: what it made and is not recorded is gone afterwards, as far as it is kept."""
        made, held = Made(), False
        try:
            if tool.context is not None and self._keeping is not None and self._confining is not None:
                folder = await self._confining.hold(self._owner.id)
                held = True
                made.workspace = FolderWorkspace(folder, self._keeping.store, self._keeping.limits.of_task)
        except OSError as error:
            logger.warning("There is no working folder for task %s: %s", self._owner.id, error)
        try:
            yield made
        finally:
            try:
                if made.may_hold_files:
                    await asyncio.to_thread(self._discard_all, made)
            finally:
                if held and self._confining is not None:
                    self._confining.folders.leave(self._owner.id)

    async def gather(self, made: Made, outcome: Outcome, call_id: uuid.UUID) -> None:
        """What is to be kept of a call that has come to this; a failed one keeps nothing."""
        written = await asyncio.to_thread(_written, made.workspace) if made.may_hold_files else {}
        if outcome.state != "done" or self._keeping is None:
            if written:
                await asyncio.to_thread(self._discard, list(written.values()))
            return
        for path, staged in written.items():
            made.new.append(NewArtifact(f"{WORKSPACE}{path}", checked_media_type(None, path), staged))
        found = None if is_short(outcome.value) else await asyncio.to_thread(long_content, outcome.value)
        if found is not None:
            media_type, made.content = found
            staged = await asyncio.to_thread(self._keeping.store.stage, made.content)
            made.new.append(NewArtifact(result_name(call_id), media_type, staged))
        if made.new:
            await recording.announce(self._database, self._owner, made.new)

    async def record(self, session: AsyncSession, made: Made, outcome: Outcome) -> tuple[Outcome, Sequence[Recorded]]:
        """Record it in the caller's transaction; the outcome, with a reference in place of a long result.

        Raises:
            ArtifactError: a limit is reached; the caller's transaction must not be committed.
        """
        if not made.new or self._keeping is None:
            return outcome, ()
        kept = await recording.record(session, self._keeping.store, self._keeping.limits, self._owner, made.new)
        if made.content:
            outcome = replace(outcome, value=reference(kept[-1].artifact, made.content))
        return outcome, kept

    def _discard_all(self, made: Made) -> None:
        self._discard([*(each.staged for each in made.new), *_written(made.workspace).values()])

    def _discard(self, left: Sequence[Staged]) -> None:
        for each in left:
            if self._keeping is not None:
                self._keeping.store.discard(each)


def _written(workspace: Workspace) -> dict[str, Staged]:
    """It blocks while the tool, though it is given up, still writes."""
    return dict(workspace.end()) if isinstance(workspace, FolderWorkspace) else {}


NOT_KEPT: Final = "The tool {} ran, but what it made cannot be kept: {}"
"""What a call is told whose files or result go beyond a limit."""
