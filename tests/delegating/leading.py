"""A stack whose worker knows the leading agents, and a task that delegates."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import Tasks, until
from tests.parts import Part, Parts


@dataclass
class Own:
    """A stack that knows the leading agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part

    async def new_worker(self) -> None:
        """In the place of one that was killed."""
        self.worker = await self.parts.start("worker", **self.environment)


class Led:
    """A task whose agent delegates."""

    def __init__(self, own: Own, folder: Path, database: Database) -> None:
        self.own, self.tasks = own, own.tasks
        self.notes, self.go = folder / "notes", folder / "go"
        self._database = database
        self.id = ""

    def child(self, prompt: str = "tea", *, waits: bool = False, **more: Any) -> dict[str, Any]:
        """A delegation to the agent that helps."""
        options = {**({"go": str(self.go)} if waits else {}), **more.pop("options", {})}
        return {"agent": "helping", "title": f"Help with {prompt}", "prompt": prompt, "options": options, **more}

    def nested(self, *children: dict[str, Any]) -> dict[str, Any]:
        """A delegation to an agent that delegates in its turn."""
        options = {"notes": f"{self.notes}-below", "children": list(children)}
        return {"agent": "leading", "title": "Lead", "prompt": "lead", "options": options}

    async def start(self, agent: str, *children: dict[str, Any]) -> None:
        options = {"notes": str(self.notes), "children": list(children)}
        self.id = await self.tasks.started(options, agent_type=agent, auto_accept=True)

    async def children(self, count: int = 1) -> list[str]:
        """Ids of so many delegated tasks."""

        async def found() -> list[str] | None:
            query = text("SELECT id FROM tasks WHERE parent_id = :id ORDER BY created_at, id")
            async with self._database.reading() as session:
                ids = (await session.scalars(query, {"id": uuid.UUID(self.id)})).all()
            return [str(each) for each in ids] if len(ids) == count else None

        return await until(found, what=f"{count} delegated tasks")

    async def waits(self) -> dict[str, Any]:
        """The task, once people read that it waits for another."""

        async def waiting() -> dict[str, Any] | None:
            task = await self.tasks.get(self.id)
            return task if task["stage_status"].startswith("WAITING:task ") else None

        return await until(waiting, what="waiting for a task")

    async def child_at(self, child: str, step: int = 1) -> None:
        """Until the child has recorded so many checkpoints."""

        async def there() -> bool:
            return (await self.tasks.get(child))["steps"] >= step

        await until(there, what=f"checkpoint {step} of the child")

    def told(self) -> list[str]:
        return self.notes.read_text().splitlines()

    async def done(self) -> str:
        await self.tasks.wait(self.id, "DONE")
        report = next(each for each in await self.tasks.documents(self.id) if each["kind"] == "REPORT")
        return report["body"]
