"""A stack whose worker knows the keeping agents, and a task that keeps files."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.driving import Tasks, until
from tests.parts import Part, Parts

ADA = "ada.keeps@example.com"
AGENTS = ["keeping", "keeping_apart"]


@dataclass
class Own:
    """A stack that knows the keeping agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    store: Path
    """Where content lies."""


class Kept:
    """A task whose agent keeps files."""

    def __init__(self, own: Own, folder: Path) -> None:
        self.own, self.tasks, self.folder, self.id = own, own.tasks, folder, ""

    async def start(self, agent: str, *puts: dict[str, Any], **options: Any) -> None:
        options = {"folder": str(self.folder), "puts": list(puts), **options}
        self.id = await self.tasks.started(options, agent_type=agent, auto_accept=True)

    async def told(self, count: int = 1) -> None:
        """Wait until the agent has put everything so often."""
        file = self.folder / "told"

        async def there() -> bool:
            return file.exists() and file.read_text().splitlines().count("put") >= count

        await until(there, what="the agent's word")

    async def listed(self) -> list[dict[str, Any]]:
        answer = await self.tasks.client.get(f"/api/tasks/{self.id}/artifacts")
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def get(self, which: str, **headers: str) -> httpx2.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.tasks.client.get(f"/api/tasks/{self.id}/artifacts/{which}", headers=sent)

    async def done(self) -> list[str]:
        """The lines of the report."""
        await self.tasks.wait(self.id, "DONE")
        found = await self.tasks.documents(self.id)
        return next(each for each in found if each["kind"] == "REPORT")["body"].splitlines()

    def content(self) -> list[str]:
        """The hashes that lie in the store, of whichever organisation."""
        while True:
            with suppress(FileNotFoundError):  # a folder that was being removed
                return sorted(path.name for path in self.own.store.glob("*-*/*/*"))
