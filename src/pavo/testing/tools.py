"""The tools that an agent calls in a trial: doubles that the test gives, and a ledger in memory."""

import hashlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pavo.agents.calling.functions import Begun, Effect
from pavo.agents.calling.request import READ_ARTIFACT, ToolAnswer, ToolRequest
from pavo.agents.signing.keys import SigningKeys
from pavo.artifacts.domain import ArtifactPart
from pavo.testing.artifacts import KeptFiles
from pavo.testing.workspace import MemoryWorkspace
from pavo.tools.arguments import WrongArguments
from pavo.tools.builtin.artifacts import read_artifact
from pavo.tools.contract import NoServices, ToolContext
from pavo.tools.described import Tool, tool_of
from pavo.tools.results import MAX_KEPT_BYTES, long_content, reference, result_name
from pavo.tools.running import Outcome, run_tool, understood

KEYS: Final = SigningKeys([b"only for trials, which keep nothing"])
"""By which a trial's agent has its state signed."""


class _KeptReader(NoServices):
    """What the tools that come with Pavo find in a trial: what it keeps."""

    def __init__(self, kept: KeptFiles) -> None:
        self._kept = kept

    async def artifact(self, which: str, offset: int, length: int) -> ArtifactPart:
        """A part of an artifact."""
        return self._kept.part(which, offset, length)


class TriedTools:
    """See `agents.calling.request.Tools`. As a ledger does, it calls nothing again whose outcome it has.

    Args:
        doubles: what stands in for each tool: a function with type hints and a docstring.
        denied: why calls of these are denied.
        kept: where what they write and what they answer at length is kept.
    """

    def __init__(
        self,
        doubles: Mapping[str, Callable[..., Any]],
        denied: Mapping[str, str],
        kept: KeptFiles | None = None,
    ) -> None:
        self._denied = denied
        self._kept = kept or KeptFiles()
        brought = {READ_ARTIFACT: read_artifact}
        self._tools = {name: tool_of(name, given, "the trial") for name, given in {**brought, **doubles}.items()}
        self._outcomes: dict[str, tuple[str, str, Outcome]] = {}
        self._begun: dict[str, ToolRequest] = {}

    def forget(self) -> None:
        """Another life begins: nothing was called."""
        self._outcomes.clear()

    async def described(self) -> Sequence[Mapping[str, Any]]:
        """The doubles, and what reads on long results, which is there always."""
        return [self._tools[name].card for name in sorted(self._tools)]

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """What came of it."""
        tool = self._tools.get(request.tool)
        if tool is None:
            return ToolAnswer(
                error=f"The trial has no tool {request.tool!r}.", remedy="Give it tools={name: function}."
            )
        try:
            arguments = (await understood(tool, request.arguments)).arguments
        except WrongArguments as error:
            return ToolAnswer(error=f"The tool {tool.name} does not take these arguments: {error}.")
        if tool.name in self._denied:
            told = f"This call of {tool.name} is denied: {self._denied[tool.name]}"
            return ToolAnswer(error=told, remedy="Go on without it.", denied=True)
        known = self._outcomes.get(request.identity)
        if known is None:
            outcome = await self._outcome(tool, arguments, request.identity)
            known = self._outcomes[request.identity] = (request.tool, request.hash, outcome)
        if known[:2] != (request.tool, request.hash):
            return ToolAnswer(error=f"The key {request.key!r} names another call.", refused=True)
        outcome = known[2]
        return ToolAnswer(outcome.value, outcome.error, outcome.remedy)

    async def _outcome(self, tool: Tool, arguments: Mapping[str, Any], identity: str) -> Outcome:
        task, organisation = uuid.UUID(int=0), uuid.UUID(int=0)
        workspace = MemoryWorkspace(self._kept)
        context = ToolContext(identity, task, organisation, _KeptReader(self._kept), workspace)
        outcome = await run_tool(tool, arguments, context, MAX_KEPT_BYTES)
        if outcome.state != "done":
            return outcome
        workspace.keep()
        found = long_content(outcome.value)
        if found is None:
            return outcome
        media_type, content = found
        name = result_name(hashlib.sha256(identity.encode()).hexdigest()[:32])
        return replace(outcome, value=reference(self._kept.keep(name, media_type, content), content))

    async def begin(self, request: ToolRequest, effect: Effect) -> Begun | ToolAnswer:
        """See `agents.calling.functions.Ledger`; by the identity of the call."""
        known = self._outcomes.get(request.identity)
        if known is not None:
            return ToolAnswer(known[2].value, known[2].error, known[2].remedy)
        self._begun[request.identity] = request
        return Begun(request.identity, time.monotonic())

    async def look(self, call_id: str) -> float:
        """Likewise: nobody takes a trial over."""
        return time.monotonic()

    async def settle(self, call_id: str, outcome: Outcome) -> ToolAnswer | None:
        """Likewise. What is unknown counts as failed: a trial has nobody to look."""
        request = self._begun.pop(call_id)
        self._outcomes[call_id] = (request.tool, request.hash, outcome)
        return ToolAnswer(outcome.value, outcome.error, outcome.remedy)
