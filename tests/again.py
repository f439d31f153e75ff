"""What failed beside others runs once more, alone: `make again`, for CI.

Whether a machine that runs three tests side by side, and other things, gives each its seconds is not what a change is
judged by. A test that fails alone as well fails the run; one that passes is named, for somebody to mend, since it took
for granted what it should have waited for. More than `MOST`, of seven thousand, are no coincidence: these fail at once.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

MOST = 10
REMEMBERED = Path(__file__).parent.parent / ".test-failures"
"""One test a line, of all runs since it was last removed."""
UNFINISHED = "a run that came to no end"


class Failures:
    """Collects which tests fail, at whatever stage."""

    def __init__(self, remembered: Path = REMEMBERED) -> None:
        self._remembered = remembered
        self._names: dict[str, None] = {}

    def pytest_sessionstart(self) -> None:
        """Until this run ends, nobody can say what failed in it."""
        self._remember([*_lines(self._remembered), UNFINISHED])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._names[report.nodeid] = None

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            before = _lines(self._remembered)
            if UNFINISHED in before:  # its own, unless another run beside it took it or began anew
                before.remove(UNFINISHED)  # another one is of a run that came to none
            self._remember(dict.fromkeys([*before, *self._names]))

    def _remember(self, lines: Iterable[str]) -> None:
        self._remembered.write_text("".join(f"{line}\n" for line in lines))


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes run the tests, they tell it to the first, which remembers."""
    if not hasattr(config, "workerinput") and config.rootpath == REMEMBERED.parent and not config.option.collectonly:
        config.pluginmanager.register(Failures())


def again(remembered: Path = REMEMBERED) -> Sequence[str] | None:
    """The tests to run once more; None where what happened is no coincidence."""
    names = _lines(remembered)
    return names if 0 < len(names) <= MOST and UNFINISHED not in names else None


def main() -> int:
    """Run them; the exit code is that of this second run."""
    names = again()
    if names is None:
        print(f"Not run again: {', '.join(_lines(REMEMBERED)[:20]) or 'nothing'} (1 to {MOST} failed tests would be).")
        return 1
    print("Once more, alone, for they failed beside others:", *names, sep="\n  ", flush=True)
    REMEMBERED.unlink()
    return subprocess.run([sys.executable, "-m", "pytest", *names], check=False).returncode


def _lines(remembered: Path) -> list[str]:
    return remembered.read_text().splitlines() if remembered.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
