"""A rework is published only where its program has changed something: what was there before was published before."""

from typing import Any, cast

import pytest

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.execute import Executing
from pavo.remote.connection import Gateway
from pavo.remote.programs.sandbox import Sandboxes
from pavo.remote.work import Work
from pavo.remote.workspaces import Workspaces
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import GivesCredentials, KeepsFiles, attempt, patches, write


@pytest.mark.parametrize(
    ("more", "counts"),
    [({"feedback": "Shorter."}, False), ({}, True), ({"feedback": "It fails.", "round": 1}, True)],
    ids=["rework", "first", "repair"],
)
async def test_what_was_there_before_is_no_answer_to_a_review(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    more: dict[str, Any],
    counts: bool,
) -> None:
    errand, _ = attempt(credentials)
    made = await workspaces.prepare(errand, small_forge.clone_url(repository), "main", "pavo/work")
    gateway = cast(Gateway, KeepsFiles())
    executing = Executing(workspaces, {}, Sandboxes(0, "", ""), credentials, gateway, patches(workspaces))

    async def executed() -> tuple[bool, str]:
        message = pb.StartExecution(branch="pavo/work", base_branch="main", **more)
        command = pb.Command(id="c", job_id=errand.job_id, epoch=1, start_execution=message)
        lines: list[str] = []
        work = Work(command, lambda _, line: lines.append(line.text) or len(lines), lambda _: None, _forget)
        work.kept = pb.Executed(summary="Done.").SerializeToString()  # its program has ended
        return (await executing.execute(work)).executed.changed, "\n".join(lines)

    changed, log = await executed()
    assert changed is counts and ("in answer to the review" in log) is not counts
    write(made, "answer.txt", "shorter")
    assert (await executed())[0]


async def _forget(_: bytes) -> None:
    pass
