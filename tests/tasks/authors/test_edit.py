"""What a task is given can be changed while nothing works on it; a plan of a former prompt is never executed."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests import command
from tests.driving import Tasks, ticks


async def edit(tasks: Tasks, task_id: str, **body: Any) -> httpx2.Response:
    return await tasks.client.patch(f"/api/tasks/{task_id}", json=body)


async def edited(tasks: Tasks, task_id: str) -> list[dict[str, Any]]:
    return [event for event in await tasks.events(task_id) if event["type"] == "edited"]


async def test_a_task_that_is_not_started_takes_all_of_it(authors: Tasks) -> None:
    task_id = await authors.create({}, agent_type="telling", prompt="before")
    change = {"title": "Another", "prompt": "after", "agent_options": {"times": 2}}
    for _ in range(2):  # the second one changes nothing
        answer = await edit(authors, task_id, **change)
        assert answer.status_code == 200, answer.text
    task = answer.json()
    assert (task["title"], task["prompt"], task["agent_options"]["times"]) == ("Another", "after", 2)
    assert task["agent_options"]["fail_at"] == 0 and task["stage"] == "INIT"
    (event,) = await edited(authors, task_id)
    assert event["changed"] == ["title", "prompt", "agent_options"] and event["options"] == {"times": 2}
    assert event["by"] == "ada@example.com"
    await authors.post(f"{task_id}/start")
    await authors.wait(task_id, "WAIT_RFC")
    (plan,) = await authors.documents(task_id)
    assert plan["version"] == 1 and plan["content"]["summary"].startswith("Tell after ")


async def test_a_limit_is_set_and_taken_away(authors: Tasks) -> None:
    task_id = await authors.create({}, agent_type="telling", step_seconds=5)
    assert (await authors.get(task_id))["step_seconds"] == 5
    for wanted in (0.5, None, None):
        answer = await edit(authors, task_id, step_seconds=wanted)
        assert answer.status_code == 200 and answer.json()["step_seconds"] == wanted
    told = await edited(authors, task_id)
    assert [(event["changed"], event["replanned"]) for event in told] == [(["step_seconds"], False)] * 2
    for wrong in (0, True, "1", 3e6):
        answer = await edit(authors, task_id, step_seconds=wrong)
        assert answer.status_code == 422 and answer.json()["field"] == "step_seconds"
    assert (await edit(authors, task_id)).json()["detail"].count("step_seconds") == 1


async def test_a_title_of_its_own_plans_nothing_anew(authors: Tasks) -> None:
    """Where there is a prompt, a title is only a name: resumed, the task executes at once."""
    task_id = await authors.started({"fail_at": 3}, agent_type="telling", prompt="Tell.", auto_accept=True)
    await authors.wait(task_id, "FAILED")
    change = {"title": "Another", "agent_options": {"fail_at": 0}, "step_seconds": 60}
    assert (await edit(authors, task_id, **change)).json()["plan"]["status"] == "ACCEPTED"
    before = len(await authors.events(task_id))
    await authors.post(f"{task_id}/resume")
    await authors.wait(task_id, "DONE")
    since = (await authors.events(task_id))[before:]
    assert [event["stage"] for event in since if event["type"] == "stage"] == ["EXECUTING", "DONE"]
    assert ticks(await authors.events(task_id)) == [1, 2, 3, 4]


async def test_changed_options_go_on_from_the_checkpoint(authors: Tasks) -> None:
    task_id = await authors.started({"fail_at": 3}, agent_type="telling", auto_accept=True)
    task = await authors.wait(task_id, "FAILED")
    assert "pavo task edit" in task["error"]["remedy"] and "PATCH /api/tasks/{id}" in task["error"]["remedy"]
    answer = await edit(authors, task_id, agent_options={"fail_at": 0})
    assert answer.status_code == 200 and answer.json()["stage"] == "FAILED" and answer.json()["steps"] == 2
    (event,) = await edited(authors, task_id)
    assert (event["options"], event["replanned"]) == ({"fail_at": 0}, False)
    await authors.post(f"{task_id}/resume")
    task = await authors.wait(task_id, "DONE")
    assert ticks(await authors.events(task_id)) == [1, 2, 3, 4] and task["plan"]["version"] == 1


async def test_a_changed_prompt_is_planned_and_reviewed_anew(authors: Tasks) -> None:
    task = await authors.reviewable({"fail_at": 3}, agent_type="telling", prompt="before")
    old, task_id = task["plan"]["hash"], task["id"]
    await authors.accept(task)
    await authors.wait(task_id, "FAILED")
    answer = await edit(authors, task_id, prompt="after", agent_options={"fail_at": 0})
    assert answer.status_code == 200
    task = answer.json()
    assert (task["steps"], task["progress"], task["plan_step"], task["plan"]["status"]) == (0, 0, None, "LOCKED")
    (event,) = await edited(authors, task_id)
    assert event["replanned"] and event["superseded"] == 1
    await authors.post(f"{task_id}/resume")
    task = await authors.wait(task_id, "WAIT_RFC")
    assert task["plan"]["version"] == 2
    first, second = await authors.documents(task_id)
    assert first["status"] == "LOCKED" and first["accepted_by"]
    assert second["content"]["summary"].startswith(f"Tell after {task_id}/e1/v2/plan ")
    refused = await authors.client.post(f"/api/tasks/{task_id}/plan/accept", json={"hash": old})
    assert refused.status_code == 409
    await authors.accept(task)
    await authors.wait(task_id, "DONE")
    events = await authors.events(task_id)
    assert ticks(events) == [1, 2, 1, 2, 3, 4]
    keys = [event["key"] for event in events if event["type"] == "told"]
    assert keys == [f"{task_id}/v1/{n}" for n in (1, 2)] + [f"{task_id}/e1/v2/{n}" for n in (1, 2, 3, 4)]
    assert [event["by"] for event in events if event["type"] == "accepted"] == ["ada@example.com"] * 2


async def planned_key(tasks: Tasks, task_id: str) -> str:
    """Resume the task; the key under which its latest plan was made."""
    await tasks.post(f"{task_id}/resume")
    await tasks.wait(task_id, "WAIT_RFC")
    *_, key, _ = (await tasks.documents(task_id))[-1]["content"]["summary"].split()
    return key


async def refused_at(tasks: Tasks, task_id: str) -> str:
    return (await tasks.wait(task_id, "FAILED"))["error"]["cause"].removeprefix("refused at ")


@pytest.mark.parametrize("agent", ["telling", "telling_apart"])
async def test_a_plan_for_another_prompt_has_a_key_of_its_own(authors: Tasks, agent: str) -> None:
    """Though the version is the same, for nothing was made of the former prompt: an edit, or what was said to it."""
    task_id = await authors.started({}, agent_type=agent, prompt="refuse")
    assert await refused_at(authors, task_id) == f"{task_id}/v1/plan"
    await edit(authors, task_id, title="Another name", agent_options={"times": 2})  # the same work
    await authors.post(f"{task_id}/resume")
    assert await refused_at(authors, task_id) == f"{task_id}/v1/plan"
    await edit(authors, task_id, prompt="after")
    assert await planned_key(authors, task_id) == f"{task_id}/e1/v1/plan"
    await authors.accept(await authors.get(task_id))
    await authors.wait(task_id, "DONE")
    keys = [event["key"] for event in await authors.events(task_id) if event["type"] == "told"]
    assert keys == [f"{task_id}/e1/v1/{n}" for n in (1, 2, 3, 4)]
    assert (await authors.documents(task_id))[-1]["body"] == f"{task_id}/e1/v1/report 4"


async def test_what_is_said_to_a_task_without_a_plan_makes_other_work_of_it(authors: Tasks) -> None:
    task_id = await authors.create({}, agent_type="telling", prompt="refuse")
    await edit(authors, task_id, prompt="")
    await edit(authors, task_id, prompt="refuse")  # before the start nothing was done under any key
    await authors.post(f"{task_id}/start")
    assert await refused_at(authors, task_id) == f"{task_id}/v1/plan"
    await authors.post(f"{task_id}/messages", 201, body="Do not.")
    assert await planned_key(authors, task_id) == f"{task_id}/e1/v1/plan"


async def test_a_plan_made_instead_of_a_revision_has_a_key_of_its_own(authors: Tasks) -> None:
    task = await authors.reviewable({}, agent_type="telling", prompt="refuse the revision")
    task_id = task["id"]
    await authors.post(f"{task_id}/documents/{task['plan']['document_id']}/feedback", 201, body="More.")
    await authors.post(f"{task_id}/plan/done-reviewing")
    assert await refused_at(authors, task_id) == f"{task_id}/v2/plan"
    await edit(authors, task_id, prompt="after")
    assert await planned_key(authors, task_id) == f"{task_id}/e1/v2/plan"


async def test_policy_accepts_the_plan_of_the_changed_prompt_too(authors: Tasks) -> None:
    task_id = await authors.started({"fail_at": 3}, agent_type="telling", prompt="before", auto_accept=True)
    await authors.wait(task_id, "FAILED")
    await edit(authors, task_id, prompt="after", agent_options={"fail_at": 0})
    await authors.post(f"{task_id}/resume")
    task = await authors.wait(task_id, "DONE")
    events = await authors.events(task_id)
    assert task["plan"]["version"] == 2 and ticks(events) == [1, 2, 1, 2, 3, 4]
    assert [event["by"] for event in events if event["type"] == "accepted"] == ["policy:auto_accept"] * 2


async def test_a_stopped_review_is_about_the_former_prompt(authors: Tasks) -> None:
    task = await authors.reviewable({}, agent_type="telling", prompt="before", title="A title")
    await authors.post(f"{task['id']}/stop")
    renamed = (await edit(authors, task["id"], title="Another title")).json()
    assert renamed["plan"]["status"] == "REVIEW"  # the agent was asked the prompt, and that is the same
    await edit(authors, task["id"], prompt="after")
    receipt = await authors.post(f"{task['id']}/stop")
    assert receipt["resume"] == "Resuming makes the plan again."
    await authors.post(f"{task['id']}/resume")
    again = await authors.wait(task["id"], "WAIT_RFC")
    assert again["plan"]["version"] == 2


async def test_a_running_or_finished_task_refuses(authors: Tasks) -> None:
    task = await authors.reviewable({}, agent_type="telling", prompt="it")
    refused = await edit(authors, task["id"], prompt="other")
    assert refused.status_code == 409 and refused.json()["remedy"] == "Stop the task, edit it, then resume it."
    same = await edit(authors, task["id"], prompt="it", agent_options={"times": 1})
    assert same.status_code == 200  # repeated after its answer was lost
    await authors.accept(task)
    await authors.wait(task["id"], "DONE")
    refused = await edit(authors, task["id"], agent_options={"times": 3})
    assert refused.status_code == 409 and "pavo task message" in refused.json()["remedy"]
    assert (await authors.get(task["id"]))["prompt"] == "it" and await edited(authors, task["id"]) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"title": " "}, "title"),
        ({"prompt": "nul\0"}, "prompt"),
        ({"agent_options": {"time": 1}}, "agent_options.time"),
        ({"agent_options": {"times": "many"}}, "agent_options.times"),
        ({"stage": "DONE"}, "stage"),
    ],
)
async def test_bad_input_changes_nothing(authors: Tasks, body: dict[str, Any], field: str | None) -> None:
    task_id = await authors.create({}, agent_type="telling")
    refused = await edit(authors, task_id, **body)
    assert refused.status_code == 422, refused.text
    assert field is None or refused.json()["field"] == field
    assert await edited(authors, task_id) == []


async def test_nobody_edits_what_is_not_theirs(authors: Tasks, authors_url: str) -> None:
    task_id = await authors.create({}, agent_type="telling")
    headers = {"X-User-Email": "mallory@example.org"}
    async with httpx2.AsyncClient(base_url=authors_url, headers=headers) as stranger:
        assert (await edit(Tasks(stranger), task_id, prompt="x")).status_code == 404


async def test_an_edit_and_a_resume_at_once_are_one_after_the_other(authors: Tasks) -> None:
    async def race(number: int) -> bool:
        task = await authors.reviewable({}, agent_type="telling", prompt="before")
        await authors.post(f"{task['id']}/stop")

        async def resumed() -> None:
            for _ in range(number):
                await authors.get(task["id"])  # so that it comes a little later each time
            await authors.post(f"{task['id']}/resume")

        answer, _ = await asyncio.gather(edit(authors, task["id"], prompt="after"), resumed())
        task = await authors.wait(task["id"], "WAIT_RFC")
        plans = await authors.documents(task["id"])
        if answer.status_code == 200:
            assert task["prompt"] == "after" and plans[-1]["content"]["summary"].startswith("Tell after ")
            assert plans[-1]["hash"] == task["plan"]["hash"]
        else:
            assert answer.status_code == 409 and task["prompt"] == "before" and len(plans) == 1
        return answer.status_code == 200

    outcomes = await asyncio.gather(*(race(number) for number in (0, 1, 2, 3)))
    assert any(outcomes)


async def test_the_command_line_edits_too(authors: Tasks, authors_url: str) -> None:
    task_id = await authors.started({"fail_at": 1}, agent_type="telling", prompt="before", auto_accept=True)
    await authors.wait(task_id, "FAILED")
    environment = {"PAVO_URL": authors_url, "PAVO_USER": "ada@example.com", "PATH": "/usr/bin"}

    async def pavo(*words: str, typed: str = "") -> command.Done:
        return await asyncio.to_thread(lambda: command.pavo(words, environment, typed=typed))

    done = await pavo("task", "edit", task_id, "--prompt", "-", "--option", "fail_at=0", typed="now")
    assert done.returncode == 0, done.stderr
    assert "Changed: prompt, options" in done.stdout and "plan v1 is superseded" in done.stdout
    assert f"pavo task resume {task_id}" in done.stdout
    assert "It is like that already" in (await pavo("task", "edit", task_id, "--option", "fail_at=0")).stdout
    done = await pavo("task", "edit", task_id, "--step-seconds", "9.5")
    assert "Changed: limit" in done.stdout, done.stderr
    assert "9.5 s for a step" in (await pavo("task", "show", task_id)).stdout
    done = await pavo("task", "edit", task_id, "--step-seconds", "0")
    assert "Changed: limit" in done.stdout and (await authors.get(task_id))["step_seconds"] is None
    done = await pavo("task", "edit", task_id, "--step-seconds", "-1")
    assert done.returncode == 2 and "--step-seconds" in done.stderr
    done = await pavo("task", "edit", task_id)
    assert done.returncode == 2 and "--prompt" in done.stderr
    assert (await authors.get(task_id))["prompt"] == "now"
