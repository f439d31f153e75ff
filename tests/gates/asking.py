"""A stack whose worker knows the asking agents, and a task that asks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.driving import Tasks, until
from tests.parts import Part, Parts

ADA, BEN = "ada.answers@example.com", "ben.answers@example.com"


@dataclass
class Own:
    """A stack that knows the asking agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part


class Asked:
    """A task whose agent asks."""

    def __init__(self, own: Own, notes: Path) -> None:
        self._own, self.notes = own, notes
        self.tasks, self.client = own.tasks, own.tasks.client
        self.id, self.who = "", ADA

    async def start(self, agent: str, *questions: dict[str, Any], **options: Any) -> None:
        options = {"notes": str(self.notes), "questions": list(questions), **options}
        self.id = await self.tasks.started(options, agent_type=agent, auto_accept=True)

    async def gates(self, state: str = "open", count: int = 1) -> list[dict[str, Any]]:
        """So many gates in this state, by their keys."""

        async def found() -> tuple[list[dict[str, Any]], ...]:
            answer = await self.client.get("/api/gates", params={"task_id": self.id, "state": state})
            assert answer.status_code == 200, answer.text
            items = answer.json()["items"]
            return (items,) if len(items) == count else ()

        (items,) = await until(found, what=f"{count} gates that are {state}")
        return sorted(items, key=lambda gate: gate["key"])

    async def answer(self, gate: dict[str, Any], answer: Any, expect: int = 200, **more: Any) -> dict[str, Any]:
        headers = {"X-User-Email": more.pop("who", self.who)}
        body = {"hash": gate["hash"], "answer": answer, **more}
        sent = await self.client.post(f"/api/gates/{gate['id']}/answer", json=body, headers=headers)
        assert sent.status_code == expect, sent.text
        return sent.json()

    async def rests(self, status: str) -> dict[str, Any]:
        """The task, once people read that it waits for this."""

        async def waits() -> dict[str, Any] | None:
            task = await self.tasks.get(self.id)
            return task if task["stage_status"] == status else None

        return await until(waits, what=status)

    def told(self) -> list[str]:
        return self.notes.read_text().splitlines()

    async def done(self) -> str:
        await self.tasks.wait(self.id, "DONE")
        report = next(each for each in await self.tasks.documents(self.id) if each["kind"] == "REPORT")
        return report["body"]


def question(key: str = "deploy", text: str = "Shall I deploy?", **more: Any) -> dict[str, Any]:
    return {"key": key, "question": text, **more}
