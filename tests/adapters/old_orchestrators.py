"""Orchestrators as teams have them, with status flags and state that is pickled, and their agents; installed as a
plug-in by `install`. The classes know nothing of Pavo."""

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from pavo.adapters import GeneratorAgent

FOLDER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"folder": {"type": "string", "default": ""}, "seconds": {"type": "number", "default": 0}},
}

HELD_SECONDS = 30.0


def tell(folder: str, what: str) -> None:
    if folder:
        with (Path(folder) / "told").open("a") as told:
            told.write(f"{what}\n")


class ReportOrchestrator:
    """Writes sections, one after the other. It was pickled after each, and knows by its flags where it is."""

    def __init__(self) -> None:
        self.status = "NEW"
        self.pending: deque[str] = deque()
        self.written: dict[str, tuple[str, datetime]] = {}
        self.stop_requested = False
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, stop_requested=False, _lock=threading.Lock())

    def _process_message(self, message: str, folder: str = "", seconds: float = 0) -> Iterator[dict[str, Any]]:
        if self.status == "NEW":
            self.pending = deque(message.split())
            self.status = "WRITING"
            yield {"type": "status", "status": self.status}
        while self.pending:
            with self._lock:
                section = self.pending.popleft()
                tell(folder, section)
                self._write(folder, seconds)
                self.written[section] = (section.title(), datetime.now(UTC))
            yield {"type": "section", "name": section, "number": len(self.written)}
        self.status = "DONE"

    def _write(self, folder: str, seconds: float) -> None:
        time.sleep(seconds)
        begun = time.monotonic()
        while (Path(folder) / "hold").exists() and not self.stop_requested and time.monotonic() - begun < HELD_SECONDS:
            time.sleep(0.01)

    def text(self) -> str:
        return f"{self.status}: " + " ".join(text for text, _ in self.written.values())


class Reports(GeneratorAgent):
    """The orchestrator with its pickle, in a process of its own."""

    name = "old_reports"
    wraps = ReportOrchestrator
    state = "pickle"
    options_schema: ClassVar[Mapping[str, Any]] = FOLDER

    def arguments(self, ctx: Any, plan: Any) -> Any:
        return {"message": plan.steps[0].detail, **ctx.options}

    def result(self, orchestrator: ReportOrchestrator, returned: Any) -> str:
        return orchestrator.text()

    def stop(self, orchestrator: ReportOrchestrator) -> None:
        orchestrator.stop_requested = True


class ReportsInside(Reports):
    """The same in the worker."""

    name = "old_reports_inside"
    isolation = "worker"


class Chat:
    """An async one, whose attributes are JSON."""

    def __init__(self) -> None:
        self.history: list[str] = []

    async def respond(self, message: str) -> AsyncIterator[str]:
        for word in message.split()[len(self.history) :]:
            self.history.append(word)
            yield word


class Chats(GeneratorAgent):
    """Chat, with what Pavo does where nothing is said."""

    name = "old_chats"
    wraps = Chat
    method = "respond"


class Counter:
    """A plain one, whose attributes are JSON; it returns what it came to."""

    def __init__(self) -> None:
        self.n = 0

    def run(self, message: str) -> Iterator[int]:
        while self.n < 4:
            self.n += 1
            yield self.n
        return {"sum": self.n, "of": message}


class Counters(GeneratorAgent):
    """Counter, likewise."""

    name = "old_counters"
    wraps = Counter
    method = "run"


class Asking:
    """A plain generator that asks people in the middle, by its agent."""

    agent: Any
    ctx: Any

    def __init__(self) -> None:
        self.status = "NEW"

    def run(self, message: str) -> Iterator[str]:
        if self.status == "NEW":
            self.status = "ASKING"
            yield "before"
        if self.status == "ASKING":
            color = self.agent.wait(self.ctx.ask("color", f"Which color for {message}?", choices=["red", "blue"]))
            self.status = "DONE"
            yield f"it is {color}"


class Asks(GeneratorAgent):
    """Asking, whose state leaves out what belongs to the process."""

    name = "old_asks"
    wraps = Asking
    method = "run"

    def build(self, ctx: Any) -> Asking:
        made = Asking()
        made.agent, made.ctx = self, ctx
        return made

    def export_state(self, orchestrator: Asking) -> str:
        return orchestrator.status

    def restore_state(self, orchestrator: Asking, state: str) -> None:
        orchestrator.status = state


class AsksInside(Asks):
    """The same in the worker."""

    name = "old_asks_inside"
    isolation = "worker"


AGENTS = {
    "old_reports": "Reports",
    "old_reports_inside": "ReportsInside",
    "old_asks": "Asks",
    "old_asks_inside": "AsksInside",
}


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    install_module(folder, Path(__file__), {"pavo.agents": AGENTS})
