"""A flow of agents, a list, a branch and a question to people; Temporal and a worker are killed in the middle.

The flow is the template `survey-with-approval`, on the stack of `pavo up` with throw-away data. `make demo-flow` runs
it, and nothing is left behind.
"""

import contextlib
import json
import logging
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from examples.support import Api, until
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pavo.cli.output import waiting
from pavo.cli.task import render
from pavo.deploy.local.stack import EmbeddedStack, remove_data
from pavo.kit.threads.loop import LoopInThread

TEMPLATE = "survey-with-approval"
PARTS = ("prices", "support", "onboarding", "outages")
PACE = {"steps": 8, "step_seconds": 0.1}
"""Of the agents."""
WORKER, TEMPORAL = "worker-1", "temporal"
LOOK_SECONDS = 0.2
OVER = ("succeeded", "failed", "cancelled")
MARKS = {
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("✗", "red"),
    "skipped": ("–", "dim"),
    "waiting": ("·", "dim"),
}


def main() -> int:
    """Exit code 0 when the flow has succeeded, and each agent has done its step once."""
    logging.getLogger("pavo").addHandler(logging.NullHandler())  # what the supervisor logs goes to its file
    out = render.page(stderr=False)
    out.print(Text.assemble("\n", ("Pavo", "bold cyan"), "  a flow, and what it survives\n"))
    folder = Path(tempfile.mkdtemp(prefix="pavo-demo-flow-"))
    try:
        with _stack(folder, out) as stack:
            ok = _run(stack, folder, out)
    finally:
        remove_data(folder)
        shutil.rmtree(folder, ignore_errors=True)
    if ok:
        render.good(out, "Stack ended; no process and no file is left")
    return 0 if ok else 1


@contextlib.contextmanager
def _stack(folder: Path, out: Console) -> Generator[EmbeddedStack]:
    with LoopInThread("stack") as loop:
        began = time.monotonic()
        stack = EmbeddedStack(folder, ephemeral=True, extra={"api": {"PAVO_AUTH": "dev"}})
        try:
            with waiting(out, "starting PostgreSQL, Valkey, Temporal, the API and a worker …"):
                loop.run(stack.start())
            render.good(out, f"Stack ready in {time.monotonic() - began:.1f} s", stack.api_url)
            yield stack
        finally:
            with waiting(out, "ending the stack …"):
                loop.run(stack.stop())


def _flow(folder: Path) -> str:
    """The template, with agents that need no model and are quick."""
    wanted = ["--set", "surveyor=intern", "--set", "writer=intern", "--set", "many=2"]
    words = ["flow", "new", "survey", "--template", TEMPLATE, *wanted, "--folder", str(folder)]
    subprocess.run([sys.executable, "-m", "pavo.cli.main", *words], check=True, capture_output=True)
    flow: Any = yaml.safe_load((folder / "survey.yaml").read_text())
    for step in ("survey", "sum"):
        flow["steps"][step]["with"]["options"] = PACE
    return json.dumps(flow)


def _run(stack: EmbeddedStack, folder: Path, out: Console) -> bool:
    api, began = Api(stack.api_url), time.monotonic()
    new = {"text": _flow(folder), "inputs": {"topic": "Churn", "parts": list(PARTS)}, "engine": "temporal"}
    run = api.post("/api/flow-runs", new)["id"]
    render.good(out, f"Run of {TEMPLATE} begun", run)
    with Live(console=out, refresh_per_second=8, transient=True) as live:
        _kill_in_the_list(api, stack, run, live)
        _kill_at_the_gate(api, stack, run, live)
        found = _until(api, run, live, lambda shown: shown["state"] in OVER)
    out.print(_tree(found))
    return _tell(api, found, out, began)


def _kill_in_the_list(api: Api, stack: EmbeddedStack, run: str, live: Live) -> None:
    """Once one of its agents is done, and others work."""
    _until(api, run, live, lambda shown: _of(shown, "survey").get("succeeded", 0) >= 1)
    render.bad(live.console, "Temporal killed with SIGKILL", f"pid {stack.kill(TEMPORAL, signal.SIGKILL)}")


def _kill_at_the_gate(api: Api, stack: EmbeddedStack, run: str, live: Live) -> None:
    """While people are asked."""
    _until(api, run, live, lambda shown: _of(shown, "approve").get("awaiting", 0) == 1)
    render.bad(live.console, "The worker killed with SIGKILL", f"pid {stack.kill(WORKER, signal.SIGKILL)}")
    [gate] = api.get(f"/api/gates?subject_id={run}")["items"]
    render.turn(live.console, f"“{gate['text']}”: approved", gate["id"])
    api.post(f"/api/gates/{gate['id']}/answer", {"hash": gate["hash"], "answer": {"approved": True}})


def _of(shown: Mapping[str, Any], step: str) -> Counter[str]:
    """How much of a step is in which state."""
    return Counter(each["state"] for each in shown["steps"] if each["step"] == step and each["items"] is None)


def _until(api: Api, run: str, live: Live, holds: Any) -> Mapping[str, Any]:
    """The run, as soon as this holds of it; its tree is shown meanwhile."""

    def look() -> Mapping[str, Any] | None:
        found = api.get(f"/api/flow-runs/{run}")
        live.update(_tree(found))
        if found["state"] in ("failed", "cancelled"):
            raise SystemExit(f"The run has {found['state']}: {found['error']}")
        return found if holds(found) else None

    return until("turn of the run", look)


def _tree(run: Mapping[str, Any]) -> Group:
    return Group(*(_line(each) for each in run["steps"]), Text(f"  {run['flow']}: {run['state']}", "bold"))


def _line(step: Mapping[str, Any]) -> Text:
    mark, style = MARKS.get(step["state"], ("▸", "cyan"))
    name = step["step"] if step["item"] is None else f"    {PARTS[step['item']]}"
    told = step["error"] if step["state"] == "skipped" else ""
    return Text.assemble(
        "  ", (mark, style), f" {name:<18} ", (f"{step['kind']:<7} {step['state']:<10}", style), f" {told or ''}"
    )


def _tell(api: Api, run: Mapping[str, Any], out: Console, began: float) -> bool:
    tasks: Sequence[Mapping[str, Any]] = api.get("/api/tasks?limit=100")["items"]
    events: Sequence[Mapping[str, Any]] = api.get(f"/api/flow-runs/{run['id']}/timeline?limit=1000")["items"]
    done = all(each["stage"] == "DONE" for each in tasks)
    proofs = [
        (run["state"] == "succeeded", f"The run has {run['state']}, {time.monotonic() - began:.0f} s after it began"),
        (
            len(tasks) == len(PARTS) + 1 and done,
            f"{len(tasks)} tasks of agents for {len(PARTS) + 1} steps, each done once",
        ),
        (
            [each["seq"] for each in events] == list(range(1, len(events) + 1)),
            f"{len(events)} events in its timeline, numbered without a gap",
        ),
    ]
    out.print()
    for ok, text in proofs:
        (render.good if ok else render.bad)(out, text)
    return all(ok for ok, _ in proofs)


if __name__ == "__main__":
    sys.exit(main())
