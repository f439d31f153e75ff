"""HTTP of generated flows: parse, call one service method, return."""

from fastapi import APIRouter

from pavo.accounts.dependencies import Caller
from pavo.flows.dependencies import TheGenerator, TheOffer, TheOrganisation
from pavo.flows.generated.presenters import generated_out
from pavo.flows.generated.schemas import FlowGenerate, GeneratedFlow
from pavo.flows.generated.service import Asked
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/flows", tags=["flows"], responses=problems(401, 404, 409, 422))


@router.post("/generate", operation_id="generate_flow")
async def generate_flow(
    generator: TheGenerator, offer: TheOffer, organisation: TheOrganisation, who: Caller, wanted: FlowGenerate
) -> GeneratedFlow:
    """Have a model write a flow of words, or change one. What it writes is checked and tried with fakes; what is wrong
    is given back to it at most twice. The answer may take some minutes. It shows the flow, what it would call and what
    it may cost; nothing is kept, and nothing runs. Publish it with its hash as `accept`."""
    asked = Asked(organisation, who.user_id, wanted.request, wanted.text, wanted.name, wanted.model)
    return generated_out(await generator.generate(asked, offer))
