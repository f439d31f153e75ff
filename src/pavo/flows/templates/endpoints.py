"""HTTP of templates: which there are."""

from fastapi import APIRouter

from pavo.accounts.dependencies import Caller
from pavo.flows.templates.catalogue import templates
from pavo.flows.templates.schemas import TemplateList, template_out
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/templates", tags=["flows"], responses=problems(401))


@router.get("", operation_id="list_templates")
async def list_templates(who: Caller) -> TemplateList:
    """Flows to begin from, by name, each with the form of its parameters and its tests."""
    return TemplateList(items=[template_out(each) for each in templates().values()])
