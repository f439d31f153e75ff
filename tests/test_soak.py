"""What the long run says of itself."""

import asyncio
import time

import pytest

from tests.faults import soak
from tests.faults.soak import BY_AGENTS, BY_OTHERS, Record, main


async def test_a_part_that_is_not_well_is_named_with_its_reason() -> None:
    record = Record()
    with pytest.raises(AssertionError):
        async with record.part("storm of commands"):
            raise AssertionError("never 5xx")
    assert record.failed == "storm of commands: never 5xx" and not record.parts


async def test_a_part_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "PART_SECONDS", 0.05)
    record = Record()
    with pytest.raises(TimeoutError):
        async with record.part("long steps"):
            await asyncio.Event().wait()
    assert record.failed == "long steps: it did not end within 0.05 s"


def test_one_of_ten_minutes_plays_each_scene() -> None:
    late = Record(begun=time.monotonic() - 1_000, rounds=max(len(BY_AGENTS), len(BY_OTHERS)) - 1)
    assert late.goes_on(12) and not late.goes_on(2)
    late.rounds += 1
    assert not late.goes_on(12) and late.goes_on(60)


async def test_the_summary_fits_eighty_columns() -> None:
    record = Record(rounds=6, wanted=31)
    record.injected.update(
        {"kill worker-1": 29, "link worker-temporal half-open": 2, "none: api-redis cut harmed no": 1}
    )
    for scene in (*BY_AGENTS, *BY_OTHERS):
        async with record.part(scene.__name__.replace("_", " ")):
            pass
    told = record.summary(2**31)
    assert max(map(len, told.splitlines())) <= 80
    assert told.startswith("The soak passed: whole rounds: 6, ") and "31 faults did harm; 31 were promised" in told
    record.failed = "storm of commands: never 5xx"
    told = record.summary(7)
    assert told.startswith("The soak FAILED") and record.failed in told and "make soak ARGS='--seed 7'" in told


def ended_by_nothing(*_: object) -> None:
    """Instead of a signal's handler."""


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [(None, 0, "passed"), (KeyError("x"), 1, "the stack: 'x'"), (KeyboardInterrupt(), 1, "interrupted")],
)
def test_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: BaseException | None,
    code: int,
    told: str,
) -> None:
    async def ended(*_: object) -> None:
        if what:
            raise what

    monkeypatch.setattr(soak, "soak", ended)
    monkeypatch.setattr("sys.argv", ["soak", "--seed", "7"])
    monkeypatch.setattr(soak.signal, "signal", ended_by_nothing)
    assert main() == code
    assert told in capsys.readouterr().out
