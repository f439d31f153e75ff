"""An agent's own errors: retried, explained, resumed."""

from temporalio.client import Client

from tests.driving import Tasks, stages, ticks, types, until


async def test_failing_step_is_retried_then_explained_and_resumable(tasks: Tasks, temporal: Client) -> None:
    path = await tasks.started({"steps": 5, "step_seconds": 0, "fail_at": 3}, auto_accept=True)
    task = await tasks.wait(path, "FAILED")
    assert task["stage_status"] == "ERROR" and task["steps"] == 2
    error = task["error"]
    assert error["step"] == 3 and "fail_at" in error["cause"] and "resume" in error["remedy"]
    events = await tasks.events(path)
    retries = [(event["step"], event["attempt"]) for event in events if event["type"] == "retry"]
    assert retries == [(3, 1), (3, 2), (3, 3), (3, 4)]
    failed = next(event for event in events if event["type"] == "failed")
    assert failed["error"] == error and types(events)[-2:] == ["failed", "stage"]
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    assert "AgentError" in history.to_json() and error["cause"] not in history.to_json()

    await tasks.post(f"{path}/start", 409)
    await tasks.post(f"{path}/resume")

    async def tried_again() -> bool:
        found = await tasks.events(path)
        return types(found, "retry").count("retry") == 5

    await until(tried_again)
    assert (await tasks.get(path))["error"] is None
    receipt = await tasks.post(f"{path}/stop")
    assert (receipt["stage"], receipt["last_step"]) == ("EXECUTING", 2)
    found = await tasks.events(path)
    assert ticks(found) == [1, 2]
    assert stages(found) == ["INIT", "PLANNING", "EXECUTING", "FAILED", "EXECUTING", "STOPPED"]
