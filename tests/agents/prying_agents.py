"""A plug-in with an isolated agent that tries what it can reach, and tells."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import JSON, Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


def outcome(action: Any) -> str:
    """What an action gives, or the name of its error."""
    try:
        return str(action())
    except Exception as error:  # noqa: BLE001 - told
        return type(error).__name__


class Prying(Agent):
    """Reads and writes what its options name, and tells."""

    name: ClassVar[str] = "prying"
    isolation: ClassVar[Any] = "process"
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "read": {"type": "array", "items": {"type": "string"}, "default": []},
            "write": {"type": "array", "items": {"type": "string"}, "default": []},
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Pry", (PlanStep("pry"),))

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("Pry", (PlanStep("pry"),)), {item.id: "seen" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON) -> AsyncIterator[Step]:
        if checkpoint is None:
            yield Step(look(ctx.options))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON) -> str:
        return json.dumps(checkpoint)


def look(options: Any) -> dict[str, Any]:
    """Everything that the tests ask for."""
    kept = Path("kept")
    before = kept.read_text() if kept.exists() else ""
    kept.write_text(before + "x")
    temporary = Path(tempfile.mkdtemp())
    (temporary / "file").write_text("1")
    code = "import sys; print(open(sys.argv[1]).read())"
    return {
        "cwd": os.getcwd(),
        "home": os.path.expanduser("~"),
        "temporary": str(temporary),
        "mode": oct(os.stat(".").st_mode & 0o777),
        "before": before,
        "read": {path: outcome(lambda path=path: Path(path).read_text()) for path in options.get("read", ())},
        "listed": {path: outcome(lambda path=path: os.listdir(path)) for path in options.get("read", ())},
        "written": {
            path: outcome(lambda path=path: Path(path).write_text("agent")) for path in options.get("write", ())
        },
        "by a child": {
            path: subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True).stdout
            for path in options.get("read", ())
        },
        "parent": outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
        "signal": outcome(lambda: os.kill(os.getppid(), 0)),
        "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
        "root again": outcome(lambda: os.setuid(0)),
        "privileges": dict(
            line.split(":\t")
            for line in Path("/proc/self/status").read_text().splitlines()
            if "Cap" in line or "NoNew" in line
        ),
        "environment": dict(os.environ),
        "at start": Path("/proc/self/environ").read_bytes().decode().split("\0"),
        "works": {
            "stdout": outcome(lambda: os.close(os.open("/dev/stdout", os.O_WRONLY))),
            "null": outcome(lambda: Path("/dev/null").write_text("x")),
            "random": outcome(lambda: len(os.urandom(8))),
            "lazy": outcome(lambda: __import__("wave").__name__),
            "certificates": outcome(lambda: __import__("ssl").create_default_context().cert_store_stats()["x509"] >= 0),
            "resolver": outcome(lambda: len(__import__("socket").getaddrinfo("localhost", 1)) > 0),
            "status": outcome(lambda: "VmRSS" in Path("/proc/self/status").read_text()),
            "pipe": outcome(lambda: len(multiprocessing.Pipe())),
        },
    }


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "prying_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "prying_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prying-agents\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pavo.agents]\nprying = prying_agents:Prying\n")
    (info / "RECORD").write_text("")
