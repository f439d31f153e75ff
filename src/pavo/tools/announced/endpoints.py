"""HTTP of tools: which there are, and what an organisation says that calling them does."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Request

from pavo.accounts.dependencies import Caller
from pavo.kit.problem import problems
from pavo.tools.announced.availability import available
from pavo.tools.announced.schemas import ToolEffectIn, ToolEffectOut, ToolList
from pavo.tools.dependencies import ThePolicies, TheTools
from pavo.tools.policies.endpoints import owned_by

router = APIRouter(prefix="/api/tools", tags=["tools"], responses=problems(401, 422))


ToolName = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]*$")]


@router.get("", operation_id="list_tools")
async def list_tools(tools: TheTools, policies: ThePolicies, who: Caller) -> ToolList:
    """The tools that the live workers have."""
    return available(await tools.live(), await policies.effects(who.organisation_id))


@router.put("/{tool:path}/effect", operation_id="set_tool_effect", responses=problems(403, 404))
async def set_tool_effect(
    request: Request, policies: ThePolicies, who: Caller, tool: ToolName, said: ToolEffectIn
) -> ToolEffectOut:
    """Say what calling a tool counts as in an organisation, for its owners: it makes the tool's own word stricter,
    never looser."""
    organisation_id = await owned_by(request, who, said.organisation_id)
    await policies.set_effect(organisation_id, tool, said.effect, who.user_id)
    return ToolEffectOut(organisation_id=organisation_id, tool=tool, effect=said.effect)


@router.delete("/{tool:path}/effect", status_code=204, operation_id="unset_tool_effect", responses=problems(403, 404))
async def unset_tool_effect(
    request: Request, policies: ThePolicies, who: Caller, tool: ToolName, organisation_id: uuid.UUID | None = None
) -> None:
    """Let the tool's own word count again."""
    await policies.unset_effect(await owned_by(request, who, organisation_id), tool)
