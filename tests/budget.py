"""How long tests take: remembered for `make slowest`, and a limit for each.

A test outside of the groups `fault` and `native` that takes longer than `LIMIT_SECONDS` fails, with that reason. The
limit is meant for a machine that has nothing else to do. Where more processes want to run than there are cores, each
gets its share of them and everything takes so much longer: the limit grows by the same factor, the load average of the
last minute for each core, or the suite's own processes for each where these are more. So the suite beside busy loops is
judged as it would be without them, and an idle machine, where a slow test shows, stays strict.
"""

import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

LIMIT_SECONDS = 20.0
"""New slices have two minutes in `make test`; a test that alone takes more than a sixth of that is a group's. What
hangs is ended by pytest-timeout, however loaded the machine is."""
FREE = ("fault", "native", "model")
"""Groups whose tests take what restarts and time-outs of real processes take, or a model."""
SLOWEST = 30
REMEMBERED = Path(__file__).parent.parent / ".test-durations"
"""One line a test: seconds with set-up and end, a tab, the test. `make test` begins it anew, each further run adds."""


def stretch(load: float, cores: int) -> float:
    """By how much everything takes longer, at `load` runnable processes on so many cores."""
    return max(1.0, load / cores)


def complaint(seconds: float, load: float, cores: int) -> str | None:
    """What is wrong with a test that took so long, if anything is."""
    limit = LIMIT_SECONDS * stretch(load, cores)
    if seconds <= limit:
        return None
    return (
        f"This test took {seconds:.1f} s; {limit:.0f} s is the limit outside of the groups {' and '.join(FREE)} "
        f"({LIMIT_SECONDS:.0f} s, at a load of {load:.1f} on {cores} cores). Wait for conditions, share what starts or "
        "mark it `fault` if it kills, pauses or cuts off real processes. `make slowest` tells the others."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail that passed too slowly."""
    report = yield
    if report.when == "call" and report.passed and not any(item.get_closest_marker(name) for name in FREE):
        side_by_side = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        slow = complaint(report.duration, max(os.getloadavg()[0], side_by_side), os.cpu_count() or 1)
        if slow:
            report.outcome, report.longrepr = "failed", slow
    return report


def remembered() -> dict[str, float]:
    """Seconds by test."""
    if not REMEMBERED.exists():
        return {}
    parted = (line.partition("\t") for line in REMEMBERED.read_text().splitlines())
    return {name: float(seconds) for seconds, _, name in parted}


class Durations:
    """Adds up what each test takes, and writes it where `make slowest` reads it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        found = {**remembered(), **self.seconds}
        lines = [f"{found[name]:.2f}\t{name}\n" for name in sorted(found, key=found.__getitem__, reverse=True)]
        REMEMBERED.write_text("".join(lines))


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes run the tests, they tell it to the first, which remembers."""
    if not hasattr(config, "workerinput") and config.rootpath == REMEMBERED.parent:
        config.pluginmanager.register(Durations())


def main() -> int:
    """Print the slowest tests."""
    found = remembered()
    if not found:
        print("No run is remembered: `make test` or `make native` first.")
        return 1
    for name in list(found)[:SLOWEST]:
        print(f"{found[name]:8.2f} s  {name}")
    print(f"{sum(found.values()):8.2f} s  all {len(found)} tests")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
