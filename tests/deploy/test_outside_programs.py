import sys

import pytest

from pavo.deploy.orchestrated.docker import DockerFailed
from pavo.deploy.orchestrated.outside_programs import Done, ask, last_line, last_lines


def run(code: str, seconds: float = 20) -> Done:
    command = [sys.executable, "-c", code]
    return ask(command, failed=DockerFailed, remedy="Look.", seconds=seconds)


def test_a_program_that_does_not_end_is_named_without_its_options() -> None:
    with pytest.raises(DockerFailed, match=rf"^{sys.executable} did not end within 1 s\.$") as failed:
        run("import time; time.sleep(60)", seconds=1)
    assert failed.value.remedy == "Look."


def test_a_failure_tells_its_last_lines_or_its_exit_code() -> None:
    done = run("import sys; sys.exit(''.join(f'{n}\\n' for n in range(20)))")
    assert done.returncode == 1
    assert last_lines(done).splitlines() == [str(n) for n in range(12, 20)]
    assert last_line(done.stderr) == "19"
    silent = run("import sys; sys.exit(3)")
    assert (last_lines(silent), last_line(silent.stderr)) == ("exit code 3", "no reason given")
