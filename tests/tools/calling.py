"""A stack whose worker knows the calling agents, and a task that calls tools."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.driving import Tasks, until
from tests.parts import Part, Parts

AGENTS = ["calling", "calling_apart"]
ADA = "ada.tools@example.com"


@dataclass
class Own:
    """A stack that knows the calling agents and their tools."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part


class Called:
    """A task whose agent calls tools."""

    def __init__(self, own: Own, folder: Path) -> None:
        self.tasks, self.folder, self.id = own.tasks, folder, ""

    async def start(self, agent: str, *calls: dict[str, Any], **more: Any) -> None:
        options = {"folder": str(self.folder), "calls": list(calls)}
        self.id = await self.tasks.started(options, agent_type=agent, auto_accept=True, **more)

    def one(self, tool: str, key: str | None = None, **args: Any) -> dict[str, Any]:
        return {"tool": tool, "args": {"folder": str(self.folder), **args}, "key": key}

    def told(self, what: str) -> list[str]:
        path = self.folder / "told"
        return [line for line in path.read_text().splitlines() if line.startswith(what)] if path.exists() else []

    async def gate(self) -> dict[str, Any]:
        """The one open gate."""
        [gate] = await self.gates(1)
        return gate

    async def gates(self, count: int, state: str = "open") -> list[dict[str, Any]]:
        """So many gates in this state, in the order in which they were opened."""

        async def found() -> list[dict[str, Any]]:
            answer = await self.tasks.client.get("/api/gates", params={"task_id": self.id, "state": state})
            assert answer.status_code == 200, answer.text
            items = answer.json()["items"]
            return items if len(items) == count else []

        return await until(found, what=f"{count} gates that are {state}")

    async def answer(self, gate: dict[str, Any], answer: Any, expect: int = 200, **more: Any) -> dict[str, Any]:
        headers = {"X-User-Email": more.pop("who")} if "who" in more else {}
        body = {"hash": gate["hash"], "answer": answer, **more}
        sent = await self.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body, headers=headers)
        assert sent.status_code == expect, sent.text
        return sent.json()

    async def done(self) -> str:
        await self.tasks.wait(self.id, "DONE")
        return next(each for each in await self.tasks.documents(self.id) if each["kind"] == "REPORT")["body"]
