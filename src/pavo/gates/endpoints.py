"""HTTP of gates: parse, call one service method, return. `api.create_app` puts the service at `app.state.gates`."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from pavo.accounts.dependencies import Caller
from pavo.gates.schemas import GateAnswerIn, GateOut, GatePage, GatesWanted
from pavo.gates.service import GateService, Wanted
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/gates", tags=["gates"], responses=problems(401, 422))


async def _gates(request: Request) -> GateService:
    found: GateService = request.app.state.gates
    return found


TheGates = Annotated[GateService, Depends(_gates)]


@router.get("", operation_id="list_gates", responses=problems(404))
async def list_gates(gates: TheGates, who: Caller, wanted: Annotated[GatesWanted, Query()]) -> GatePage:
    """What waits for people, and what has waited: those that wait longest first. A page has a megabyte at most."""
    place = (wanted.mine, wanted.created_by, wanted.sort == "-opened", wanted.cursor, wanted.limit)
    of = (wanted.subject_id, wanted.task_id)
    found = await gates.page(who, Wanted(wanted.organisation_id, wanted.state, wanted.kind, *of, *place))
    items = [GateOut.model_validate(gate) for gate in found.items]
    return GatePage(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/{gate_id}", operation_id="get_gate", responses=problems(404))
async def get_gate(gates: TheGates, who: Caller, gate_id: uuid.UUID) -> GateOut:
    """One gate."""
    return GateOut.model_validate(await gates.get(who, gate_id))


@router.post("/{gate_id}/answer", operation_id="answer_gate", responses=problems(403, 404, 409, 413))
async def answer_gate(gates: TheGates, who: Caller, gate_id: uuid.UUID, given: GateAnswerIn) -> GateOut:
    """Answer what is asked, and only that. The same answer again answers the same."""
    return GateOut.model_validate(await gates.answer(who, gate_id, given.hash, given.answer, given.note))
