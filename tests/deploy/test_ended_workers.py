"""A worker's successor is told how the one before ended, by the supervisor that saw it; they are real processes."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pavo.agents.deaths import is_crash
from pavo.deploy.local import ended_workers
from pavo.deploy.local.components.component import PlainComponent
from pavo.deploy.local.definition import LocalOptions, StackDefinition
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import Urls
from pavo.runs import worker_ends
from pavo.runs.worker_ends import WorkerEnd, end_of, read_ends
from tests.driving import until

NAME = "worker-1"
CODE = """
import os, time
from pavo.kit.ready import announce_ready
from pavo.runs.worker_ends import read_ends
print("told", [(end.pid, end.code) for end in read_ends()], flush=True)
announce_ready()
fate = os.environ["FATE"]
while not os.path.exists(fate):
    time.sleep(0.02)
code = int(open(fate).read())
os.unlink(fate)
if code < 0:
    os.kill(os.getpid(), -code)
    time.sleep(60)
os._exit(code)
"""


class Worker(PlainComponent):
    """Says what it is told of those before it, and ends as a file says."""

    def __init__(self, folder: Path) -> None:
        self.fate, self._layout = folder / "fate", Layout(folder)

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        told = {worker_ends.VARIABLE: str(self._layout.worker_ends), "FATE": str(self.fate)}
        return Launch([sys.executable, "-c", CODE], {**os.environ, **told}, self._layout.log(name), ready_line=True)

    def end(self, code: int) -> None:
        draft = self.fate.with_suffix(".draft")
        draft.write_text(str(code))
        draft.replace(self.fate)


async def ends_after(folder: Path, codes: list[int]) -> list[WorkerEnd]:
    """What is told after workers ended with these codes, one after the other."""
    component, layout = Worker(folder), Layout(folder)
    definition = StackDefinition("embedded", LocalOptions(), {"worker": component}, {}, Urls("", "", "", ""), {})
    supervisor = Supervisor(layout, definition, [NAME])
    try:
        await supervisor.start()
        for code in codes:
            before = supervisor.states()[0]
            component.end(code)

            async def replaced(before: int = before.restarts) -> bool:
                now = supervisor.states()[0]
                return now.restarts > before and now.state == "ready"

            await until(replaced, seconds=20)
            told = [(end.pid, end.code) for end in read_ends(layout.worker_ends)]
            assert told[-1] == (before.pid, code)
            assert f"told {told}" in layout.log(NAME).read_text()  # by the successor, before it was ready
        return read_ends(layout.worker_ends)
    finally:
        await supervisor.stop()


async def test_the_successor_is_told_how_each_worker_before_it_ended(tmp_path: Path) -> None:
    exits, kills, faults = await ends_after(tmp_path, [3, -signal.SIGKILL, -signal.SIGSEGV])
    assert [end.words for end in (exits, kills, faults)] == [
        "ended with code 3",
        "was killed by SIGKILL",
        "was killed by SIGSEGV",
    ]
    assert {end.part for end in (exits, kills, faults)} == {NAME}
    assert end_of(f"{faults.host}:{faults.pid}:some-attempt", Layout(tmp_path).worker_ends) == faults
    assert end_of(f"{faults.host}:{faults.pid}0:some-attempt", Layout(tmp_path).worker_ends) is None
    assert Layout(tmp_path).worker_ends.stat().st_mode & 0o777 == 0o600


async def test_a_kill_while_the_kernel_lacked_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter(range(100))
    monkeypatch.setattr(ended_workers, "kills_for_memory", lambda: next(kills))
    killed, ended = await ends_after(tmp_path, [-signal.SIGKILL, 1])
    assert (killed.out_of_memory, killed.words) == (True, "was killed for lack of memory")
    assert not ended.out_of_memory


def test_nothing_is_told_where_nobody_tells_or_the_file_is_broken(tmp_path: Path) -> None:
    place = tmp_path / "ends.json"
    assert read_ends(place) == []
    for broken in ("", "{", "[1]", '[{"part": 1}]', "\ud800".encode("utf-16", "surrogatepass").decode("latin-1")):
        place.write_text(broken)
        assert read_ends(place) == []


def test_only_the_latest_ends_are_kept() -> None:
    known: list[WorkerEnd] = []
    for pid in range(worker_ends.KEPT + 5):
        text = worker_ends.with_end(known, NAME, pid, 1, out_of_memory=False, at=0.0, asked=False)
        known = [WorkerEnd(**each) for each in json.loads(text)]
    assert [known[0].pid, known[-1].pid, len(known)] == [5, worker_ends.KEPT + 4, worker_ends.KEPT]


def test_who_was_asked_to_end_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "worker-ends.json"
    worker_ends.tell_asked()  # where nobody supervises, nobody is told
    monkeypatch.setenv(worker_ends.VARIABLE, str(place))
    assert not worker_ends.was_asked(place, os.getpid())
    worker_ends.tell_asked()
    assert worker_ends.was_asked(place, os.getpid()) and not worker_ends.was_asked(place, os.getpid())
    worker_ends.tell_asked()
    worker_ends.forget_asked(place)
    assert not worker_ends.was_asked(place, os.getpid())


@pytest.mark.parametrize(("code", "asked", "crash"), [(0, False, True), (0, True, False), (7, True, True)])
def test_an_exit_with_0_that_nobody_asked_for_is_the_agents(code: int, asked: bool, crash: bool) -> None:
    assert is_crash(code, asked=asked) is crash
