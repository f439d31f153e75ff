"""The journal: a command is new once, whatever line the program dies at."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pavo.errors import ConfigurationError
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.journal import FILE, Attempt, Journal, Standing, State

JOB = str(uuid.UUID(int=1))
DIES = """
import os, signal, sys
from pathlib import Path
import pavo.remote.journal as j
from pavo.protocol import fleet_pb2 as pb

def live(folder, at):
    lines = 0
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    say = lambda *what: os.write(said, (" ".join(what) + "\\n").encode())
    def trace(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename != j.__file__:
            return None
        if event == "line":
            lines += 1
            if lines == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    journal = j.Journal(folder)
    for number in range(2):
        command = pb.Command(id=f"c{number}", job_id="job", epoch=1)
        if journal.accept(command) is j.Standing.NEW:
            say("carried", command.id)
        say("accepted", command.id)
        journal.keep(command.id, b"half")
        journal.finish(pb.Result(command_id=command.id, job_id="job", epoch=1, cleaned=pb.Cleaned(freed_bytes=7)))
        say("finished", command.id)
        journal.acknowledge(command.id)
        say("acked", command.id)
    journal.mark(j.Attempt("job", 1), j.State.LOST)
    say("lost", "job")
    journal.forget(j.Attempt("job", 1))
    say("forgotten", "job")
    os._exit(9)

for at in range(1, 10_000):
    folder = Path(sys.argv[1]) / str(at)
    folder.mkdir()
    child = os.fork()
    if not child:
        live(folder, at)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9:
        break
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def command(number: int = 1, epoch: int = 1) -> pb.Command:
    return pb.Command(id=f"command-{number}", job_id=JOB, epoch=epoch, cleanup=pb.Cleanup(job_id=JOB, epoch=epoch))


def result(number: int = 1, freed: int = 5, epoch: int = 1) -> pb.Result:
    return pb.Result(command_id=f"command-{number}", job_id=JOB, epoch=epoch, cleaned=pb.Cleaned(freed_bytes=freed))


def test_a_command_is_new_once(journal: Journal, tmp_path: Path) -> None:
    assert journal.accept(command()) is Standing.NEW
    assert journal.accept(command()) is Standing.ACCEPTED
    journal.keep("command-1", b"half")
    assert [(each.command, each.kept) for each in journal.unfinished()] == [(command(), b"half")]
    journal.finish(result())
    journal.finish(result(freed=6))
    assert journal.accept(command()) is Standing.DONE
    assert journal.result_of("command-1") == result() and journal.unacknowledged() == [result()]
    assert journal.open_of(Attempt(JOB, 1)) == ["command-1"] and journal.unfinished() == []
    journal.acknowledge("command-1")
    assert journal.unacknowledged() == [] and journal.result_of("command-1") == result()
    assert journal.attempts() == [(Attempt(JOB, 1), State.HELD)]
    journal.mark(Attempt(JOB, 1), State.LOST)
    again = Journal(tmp_path)
    assert again.attempts() == [(Attempt(JOB, 1), State.LOST)] and again.machine_id == journal.machine_id
    again.forget(Attempt(JOB, 1))
    assert again.attempts() == [] and again.accept(command()) is Standing.DONE
    assert again.result_of("command-1") is None and again.unfinished() == []


def test_an_acknowledgement_of_what_is_not_finished_changes_nothing(journal: Journal) -> None:
    journal.accept(command())
    journal.acknowledge("command-1")
    journal.acknowledge("nothing")
    assert [each.command.id for each in journal.unfinished()] == ["command-1"]


def test_results_come_in_the_order_of_their_commands(journal: Journal) -> None:
    for number in (3, 1, 2):
        journal.accept(command(number))
    for number in (2, 3, 1):
        journal.finish(result(number))
    assert [each.command_id for each in journal.unacknowledged()] == ["command-3", "command-1", "command-2"]


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else entirely" * 100)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Journal(tmp_path)


def test_whatever_line_it_dies_at_nothing_is_carried_out_twice_or_forgotten(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=True)
    folders = sorted(tmp_path.iterdir(), key=lambda place: int(place.name))
    assert len(folders) > 60
    for folder in folders:
        said = set((folder / "said").read_text().splitlines())
        journal = Journal(folder)
        for number in range(2):
            known = journal.accept(pb.Command(id=f"c{number}", job_id="job", epoch=1))
            assert known is not Standing.NEW or f"accepted c{number}" not in said, folder
            assert known is Standing.DONE or f"finished c{number}" not in said, folder
            unacked = {each.command_id for each in journal.unacknowledged()}
            assert f"c{number}" not in unacked or f"acked c{number}" not in said, folder
            if f"finished c{number}" in said and f"acked c{number}" not in said:
                found = journal.result_of(f"c{number}")
                assert found is not None and found.cleaned.freed_bytes == 7, folder
        if "lost job" in said and "forgotten job" not in said:
            assert journal.attempts() in ([], [(Attempt("job", 1), State.LOST)]), folder
        journal.close()
    assert "forgotten job" in (folders[-1] / "said").read_text()
