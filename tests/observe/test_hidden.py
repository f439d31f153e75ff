"""What an agent has read as a secret stands in no line."""

import asyncio
import json
import logging

import orjson

from pavo.logging import JsonFormatter, TextFormatter
from pavo.observe.hidden import Hidden, hidden_here, hide_in_here, without_hidden


def test_values_their_lines_and_their_spellings_are_hidden() -> None:
    hidden = Hidden()
    key = '-----BEGIN-----\nfirst "line"\nsecond line\n-----END-----\n'
    hidden.add(key)
    hidden.add("second line, longer")
    hidden.add("on")
    assert hidden.out_of(f"<{key.strip()}>") == "<***>"
    assert hidden.out_of(f"it is {key!r}") == "it is '***\\n'"
    assert "line" not in hidden.out_of(json.dumps({"key": key}))
    assert hidden.out_of("at second line, longer") == "at ***", "the longer one first"
    assert hidden.out_of("on and on") == "on and on", "what is short stands in any text"


def test_what_other_writers_of_json_make_of_it_is_hidden() -> None:
    hidden = Hidden()
    value = 'pässw"ord\\9'
    hidden.add(value)
    assert "ssw" not in hidden.out_of(orjson.dumps({"key": value}).decode())


def test_nothing_is_cut_in_two() -> None:
    hidden = Hidden()
    hidden.add("s3cr3t-value")
    data = b"x" * 50 + b"s3cr3t-value" + b"y" * 50
    for at in range(len(data) - hidden.longest):
        cut = hidden.cut(data, at)
        assert cut == (50 if 50 < at < 62 else at)


def test_it_is_bounded() -> None:
    hidden = Hidden()
    key = "\n".join(f"line {number:06}" for number in range(5_000))
    hidden.add(key)
    assert hidden.out_of(f"<{key}>") == "<***>"
    assert hidden.out_of("line 000001") == "***" and hidden.out_of("line 004999") == "line 004999"
    hidden.add("another one")
    assert hidden.out_of("another one") == "***"


async def test_it_holds_for_what_a_task_starts_and_for_nobody_else() -> None:
    async def of_a_task() -> tuple[str, str]:
        hide_in_here(Hidden())
        started = asyncio.create_task(asyncio.to_thread(without_hidden, "the value-a"))
        (hidden_here() or Hidden()).add("value-a")
        return await started, without_hidden("value-a and value-b")

    assert await asyncio.create_task(of_a_task()) == ("the ***", "*** and value-b")
    assert hidden_here() is None and without_hidden("value-a") == "value-a"


async def test_log_lines_have_none() -> None:
    hide_in_here(Hidden())
    (hidden_here() or Hidden()).add("s3cr3t-value")
    try:
        raise ValueError("it was s3cr3t-value")
    except ValueError as error:
        told = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("agents", logging.INFO, "x.py", 1, "key %s", ("s3cr3t-value",), told)
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(record)
        assert "s3cr3t" not in line and line.count("***") >= 2
