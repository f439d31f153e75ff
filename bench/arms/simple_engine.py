"""The engine that many teams have: steps in a dict, functions by name, state in memory. Killed, it knows nothing."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any


class SimpleEngine:
    """Executes flows such as `{"name": "refund", "steps": {"pay": {"action": "pay", "params": {}, "depends_on": []}}}`.

    Args:
        actions: functions by name; they block, so each is called on a thread.
    """

    def __init__(self, actions: Mapping[str, Callable[..., Any]]) -> None:
        self._actions = actions
        self._flows: dict[str, Mapping[str, Any]] = {}
        self._runs: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def register(self, flow: Mapping[str, Any]) -> None:
        self._flows[flow["name"]] = flow

    def start(self, name: str) -> str:
        run_id = uuid.uuid4().hex
        run = self._runs[run_id] = {"id": run_id, "flow": name, "state": "running", "results": {}}
        self._tasks[run_id] = asyncio.create_task(self._run(self._flows[name], run))
        return run_id

    def status(self, run_id: str) -> Mapping[str, Any]:
        return self._runs[run_id]

    def cancel(self, run_id: str) -> None:
        self._tasks[run_id].cancel()

    def list(self) -> list[Mapping[str, Any]]:
        return [*self._runs.values()]

    async def wait(self, run_id: str) -> None:
        await self._tasks[run_id]

    async def _run(self, flow: Mapping[str, Any], run: dict[str, Any]) -> None:
        steps: dict[str, asyncio.Task[None]] = {}

        async def do(name: str, step: Mapping[str, Any]) -> None:
            await asyncio.gather(*(steps[each] for each in step.get("depends_on", ())))
            for tries_left in range(step.get("retry", 0), -1, -1):
                try:
                    action = self._actions[step["action"]]
                    run["results"][name] = await asyncio.to_thread(action, **step.get("params", {}))
                    return
                except Exception:
                    if not tries_left:
                        raise

        try:
            steps |= {name: asyncio.create_task(do(name, step)) for name, step in flow["steps"].items()}
            await asyncio.gather(*steps.values())
            run["state"] = "succeeded"
        except BaseException as error:
            run["state"] = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
            raise
