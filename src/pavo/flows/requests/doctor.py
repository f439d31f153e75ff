"""HTTP of what is wrong with runs: parse, call one service method, return."""

from fastapi import APIRouter

from pavo.flows.dependencies import TheDoctor, TheNames, TheOrganisation
from pavo.flows.doctoring.schemas import FlowDoctorOut
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/flow-doctor", tags=["flows"], responses=problems(401, 404, 422))


@router.get("", operation_id="look_at_flow_runs")
async def look_at_flow_runs(doctor: TheDoctor, organisation: TheOrganisation, known: TheNames) -> FlowDoctorOut:
    """The organisation's runs whose rows and workflows disagree, and those that nobody executes; nothing is changed."""
    return await doctor.look(organisation, known.tools)


@router.post("/repair", operation_id="repair_flow_runs")
async def repair_flow_runs(doctor: TheDoctor, organisation: TheOrganisation, known: TheNames) -> FlowDoctorOut:
    """The same, with what can be done about it done: lost runs are shown as failed, runs that were not started are, and
    workflows of runs that are over are ended. Sent again it finds what is left."""
    return await doctor.look(organisation, known.tools, repair=True)
