"""HTTP of flows: the form of their files, and what is wrong with one."""

from fastapi import APIRouter

from pavo.accounts.dependencies import Caller
from pavo.flows.checking.checked import CheckedFlow, FlowSchema, FlowText
from pavo.flows.definition.form import json_schema
from pavo.flows.dependencies import TheChecker, TheNames
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/flows", tags=["flows"], responses=problems(401, 422))


@router.get("/schema", operation_id="get_flow_schema")
async def get_flow_schema(who: Caller) -> FlowSchema:
    """The JSON Schema of flows' files, for editors and programs."""
    return FlowSchema(dict(json_schema()))


@router.post("/validate", operation_id="validate_flow", responses=problems(404))
async def validate_flow(checker: TheChecker, known: TheNames, who: Caller, given: FlowText) -> CheckedFlow:
    """All that is wrong with a flow, each with line, column, path and remedy. Tools, agents and repositories that its
    steps name are looked up among those that there are. Nothing is kept of it."""
    return await checker.check(given.text, known, who.user_id)
