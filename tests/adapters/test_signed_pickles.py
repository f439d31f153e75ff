"""A pickle is loaded only where this deployment has signed it, for this task, agent and class."""

import base64
import os
import pickle
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pavo.adapters import GeneratorAgent
from pavo.adapters.kept_state import Pickled, Reached
from pavo.agents.contract import AgentContext, Plan, PlanStep
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.signing.keys import SigningKeys
from pavo.agents.signing.on_wire import look_up_signature
from pavo.agents.signing.request import NoSignatures
from pavo.config import HttpSettings
from pavo.errors import AgentRefused
from pavo.tasks.wiring import signing_keys
from tests.adapters.old_orchestrators import ReportOrchestrator, Reports

PLAN = Plan(1, "h", "S", (PlanStep("Run", "a b"),))
TASK, OTHER_TASK = uuid.uuid4(), uuid.uuid4()
OURS, THEIRS = SigningKeys([b"ours" * 8]), SigningKeys([b"theirs" * 8])
OF = "tests.adapters.old_orchestrators:ReportOrchestrator"


class Evil:
    """Makes a file when it is loaded."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._place),)


def context(keys: SigningKeys = OURS, task: uuid.UUID = TASK, agent: str = "old_reports") -> AgentContext:
    made = AgentContext(task, uuid.uuid4(), "T", "P", {"folder": "", "seconds": 0}, corpus=None)  # pyright: ignore
    return replace(made, signatures=keys.of(task, agent))


def host_of(kind: str, ctx: AgentContext, agent: type[GeneratorAgent] = Reports) -> AgentHost:
    if kind == "worker":
        return WorkerHost(agent, ctx, HostLimits())
    return ProcessHost(f"{agent.__module__}:{agent.__qualname__}", ctx, HostLimits())


async def refused(kind: str, checkpoint: Any, ctx: AgentContext | None = None, agent: Any = Reports) -> AgentRefused:
    host = host_of(kind, ctx or context(), agent)
    try:
        await host.open(PLAN, checkpoint)
        with pytest.raises(AgentRefused) as why:
            await host.next_step()
        return why.value
    finally:
        await host.close()


async def signed(state: Any, ctx: AgentContext, of: str = OF) -> dict[str, Any]:
    return await Reached(1, Pickled(pickle.dumps(state), of)).checkpoint(ctx)


async def tampered(evil: Evil) -> dict[str, Any]:
    return {**await signed({"status": "NEW"}, context()), "pickle": base64.b64encode(pickle.dumps(evil)).decode()}


async def unsigned(evil: Evil) -> dict[str, Any]:
    return {name: value for name, value in (await signed(evil, context())).items() if name != "signature"}


async def of_another_deployment(evil: Evil) -> dict[str, Any]:
    return await signed(evil, context(THEIRS))


async def of_another_task(evil: Evil) -> dict[str, Any]:
    return await signed(evil, context(task=OTHER_TASK))


async def of_another_agent(evil: Evil) -> dict[str, Any]:
    return await signed(evil, context(agent="other"))


async def of_another_class(evil: Evil) -> dict[str, Any]:
    return {**await signed(evil, context(), "somewhere:Else"), "of": OF}


async def that_says_so(evil: Evil) -> dict[str, Any]:
    return await signed(evil, context(), "somewhere:Else")


async def of_no_base64(evil: Evil) -> dict[str, Any]:
    return {**await signed(evil, context()), "pickle": "§"}


async def odd_signature(evil: Evil) -> dict[str, Any]:
    return {**await signed(evil, context()), "signature": "1:\N{SNOWMAN}"}


@pytest.mark.parametrize("kind", ["worker", "process"])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (unsigned, "nobody has signed"),
        (tampered, "has not signed for this task and agent"),
        (of_another_deployment, "has not signed for this task and agent"),
        (of_another_task, "has not signed for this task and agent"),
        (of_another_agent, "has not signed for this task and agent"),
        (of_another_class, "has not signed for this task and agent"),
        (that_says_so, "a pickle of 'somewhere:Else', not of"),
        (of_no_base64, "is no pickle"),
        (odd_signature, "has not signed"),
    ],
)
async def test_a_foreign_pickle_is_refused_before_it_is_loaded(
    kind: str, make: Callable[[Evil], Any], told: str, tmp_path: Path
) -> None:
    place = tmp_path / "loaded"
    why = await refused(kind, await make(Evil(place)))
    assert told in why.detail and why.remedy
    assert not place.exists(), "it was loaded"


@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_a_signed_one_is_loaded(kind: str, tmp_path: Path) -> None:
    """Without this the tests above would pass where nothing is ever loaded."""
    checkpoint = await signed(Evil(tmp_path / "loaded"), context())
    host = host_of(kind, context())
    await host.open(PLAN, checkpoint)
    with pytest.raises(Exception):  # noqa: B017 - a folder is no state
        await host.next_step()
    await host.close()
    assert (tmp_path / "loaded").exists()


class NoPickles(GeneratorAgent):
    """Has not opted in."""

    name = "old_reports"
    wraps = ReportOrchestrator


@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_a_class_that_has_not_opted_in_loads_none(kind: str, tmp_path: Path) -> None:
    why = await refused(kind, await signed(Evil(tmp_path / "loaded"), context()), agent=NoPickles)
    assert "takes JSON alone" in why.detail and not (tmp_path / "loaded").exists()


@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_without_a_key_nothing_is_pickled_or_loaded(kind: str, tmp_path: Path) -> None:
    ctx = replace(context(), signatures=NoSignatures())
    for checkpoint in (None, await signed(Evil(tmp_path / "loaded"), context())):
        why = await refused(kind, checkpoint, ctx)
        assert "no key" in why.detail and "PAVO_SECRET_KEY" in (why.remedy or "")
    assert not (tmp_path / "loaded").exists()


class Lacking:
    """Pickled by code that is gone."""


@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_a_pickle_whose_class_is_gone_is_told(kind: str) -> None:
    gone = pickle.dumps(Lacking()).replace(b"Lacking", b"Missing")
    checkpoint = await Reached(1, Pickled(gone, OF)).checkpoint(context())
    why = await refused(kind, checkpoint)
    assert "cannot be loaded: AttributeError" in why.detail and "Install code" in (why.remedy or "")


async def test_the_key_is_the_deployments() -> None:
    def keys(secret: str | None) -> SigningKeys:
        return signing_keys(HttpSettings(secret_key=secret))  # pyright: ignore[reportArgumentType]

    digest = "0" * 64
    signature = await keys("one " * 10).of(TASK, "a").sign(digest)
    assert await keys("one " * 10).of(TASK, "a").check(digest, signature)
    assert not await keys("two " * 10).of(TASK, "a").check(digest, signature)
    with pytest.raises(AgentRefused, match="no key"):
        await keys(None).of(TASK, "a").sign(digest)


async def test_keys_may_be_changed_while_tasks_go_on() -> None:
    digest = "0" * 64
    former = await SigningKeys([b"old"]).of(TASK, "a").sign(digest)
    both = SigningKeys([b"new", b"old"]).of(TASK, "a")
    assert await both.check(digest, former) and await both.sign(digest) != former
    assert not await SigningKeys([b"new"]).of(TASK, "a").check(digest, former)


@pytest.mark.parametrize(
    "message",
    [
        {"digest": "short", "signature": None},
        {"digest": 7, "signature": None},
        {"digest": "0" * 64, "signature": "x" * 1000},
        {"digest": "0" * 64, "signature": 7},
        {"digest": "0" * 64},
    ],
)
def test_a_process_that_asks_for_something_else_gets_nothing(message: Any) -> None:
    with pytest.raises((TypeError, LookupError)):
        look_up_signature(message, NoSignatures())
