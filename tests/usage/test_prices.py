"""The price table: what it costs, and what in it is none; what a call may take, and what it took."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pavo.errors import ConfigurationError
from pavo.usage.domain import MAX_COST, NANOS, money, nanos, period_start
from pavo.usage.estimating import LARGEST_OUTPUT, MOST, estimate, used
from pavo.usage.prices import MAX_FILE_BYTES, PriceTable

TABLE = """
currency = "EUR"
[[models]]
match = "gpt-4o-mini*"
input = 0.15
output = 0.60
cached = 0.075
[[models]]
match = "*"
input = 3
output = 15
"""


def table(folder: Path, text: str | bytes = TABLE, name: str = "prices.toml") -> PriceTable:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return PriceTable.load(folder / name)


def test_the_first_that_matches_counts(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert found.currency == "EUR"
    assert found.cost("gpt-4o-mini-2024", 1_000_000, 1_000_000) == 75 * NANOS // 100
    assert found.cost("gpt-4o-mini-2024", 1_000_000, 0, 400_000) == int(NANOS * (0.6 * 0.15 + 0.4 * 0.075))
    assert found.cost("other", 1_000_000, 1_000_000, 1_000_000) == 18 * NANOS
    assert found.cost("other", 0, 0) == 0 and found.cost("gpt-4o-mini", 1, 0) == 150
    assert PriceTable.load(None).cost("other", 1, 1) is None
    as_json = {"models": [{"match": "a?", "input": 0.0001, "output": 0}]}
    cheap = table(tmp_path, json.dumps(as_json), "prices.json")
    assert (cheap.currency, cheap.cost("ab", 1, 9), cheap.cost("abc", 1, 9)) == ("USD", 1, None), "rounded up"


def test_a_price_that_is_nonsense_costs_no_more_than_is_kept(tmp_path: Path) -> None:
    prices = table(tmp_path, '[[models]]\nmatch = "*"\ninput = 1_000_000_000\noutput = 1_000_000_000\n')
    assert prices.cost("any", MOST, MOST) == MAX_COST * NANOS


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[", "PAVO_PRICES"),
        (b"\xff\xfe", "PAVO_PRICES"),
        ("currency = 1", "currency"),
        ('currency = "EURO"', "currency"),
        ("prices = 1", "prices"),
        ("models = 1", "models"),
        ("models = [1]", "models[0]"),
        ("[[models]]\ninput = 1\noutput = 1", "models[0].match"),
        ('[[models]]\nmatch = ""\ninput = 1\noutput = 1', "models[0].match"),
        ('[[models]]\nmatch = "a"\noutput = 1', "models[0].input"),
        ('[[models]]\nmatch = "a"\ninput = -1\noutput = 1', "models[0].input"),
        ('[[models]]\nmatch = "a"\ninput = nan\noutput = 1', "models[0].input"),
        ('[[models]]\nmatch = "a"\ninput = inf\noutput = 1', "models[0].input"),
        ('[[models]]\nmatch = "a"\ninput = true\noutput = 1', "models[0].input"),
        ('[[models]]\nmatch = "a"\ninput = 1\noutput = "1"', "models[0].output"),
        ('[[models]]\nmatch = "a"\ninput = 1\noutput = 1e12', "models[0].output"),
        ('[[models]]\nmatch = "a"\ninput = 1\noutput = 1\ncached = "x"', "models[0].cached"),
        ('[[models]]\nmatch = "a"\ninput = 1\noutput = 1\nprice = 1', "models[0].price"),
        ('[[models]]\nmatch = "a"\ninput = 1\noutput = 1\n[[models]]\nmatch = 1', "models[1].match"),
        ("#" * (MAX_FILE_BYTES + 1), "PAVO_PRICES"),
        ('[[models]]\nmatch = "a"\ninput = 1e1000000000000000000000\noutput = 1', "PAVO_PRICES"),
        ('[[models]]\nmatch = "[gpt"\ninput = 1\noutput = 1', "models[0].match"),
        ('[[models]]\nmatch = "[!]"\ninput = 1\noutput = 1', "models[0].match"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, text: str | bytes, field: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        table(tmp_path, text)
    assert (refused.value.field or "").endswith(field) and "PAVO_PRICES" in (refused.value.remedy or "")


def test_what_is_wrong_in_json_is_named(tmp_path: Path) -> None:
    one = '{"models": [{"match": "a", "input": %s, "output": 1}]}'
    for text, told in (
        (one % "1e1000000000000000000000", "1e1000000000000000000000 is no number"),
        (one % '1, "input": 2', "'input' is there twice"),
        ('{"currency": "EUR", "currency": "USD"}', "'currency' is there twice"),
    ):
        with pytest.raises(ConfigurationError, match=told) as refused:
            table(tmp_path, text, "prices.json")
        assert "PAVO_PRICES" in (refused.value.remedy or "")


def test_a_mark_at_the_beginning_and_sets_of_characters_are_taken(tmp_path: Path) -> None:
    marked = table(tmp_path, b"\xef\xbb\xbf" + TABLE.replace("gpt-4o-mini*", "[!b-z]pt[]]").encode())
    assert marked.cost("apt]", 1_000_000, 0) == 15 * NANOS // 100 and marked.cost("bpt]", 1_000_000, 0) == 3 * NANOS
    as_json = b"\xef\xbb\xbf" + json.dumps({"models": [{"match": "a", "input": 1, "output": 0}]}).encode()
    assert table(tmp_path, as_json, "prices.json").cost("a", 1_000_000, 0) == NANOS


def test_a_file_without_end_is_not_read_whole() -> None:
    with pytest.raises(ConfigurationError, match="more than"):
        PriceTable.load(Path("/dev/zero"))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"models": [{"match": "a", "input": NaN, "output": 1}]}', "[]"])
def test_nonsense_in_json_too(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        table(tmp_path, text, "prices.json")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError):
            PriceTable.load(path)


BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}


def test_an_estimate_is_input_and_the_largest_output(tmp_path: Path) -> None:
    prices = table(tmp_path)
    small = estimate(prices, "x", BODY)
    assert 100 < small.tokens < 150 and small.cost == (small.tokens - 100) * 3_000 + 100 * 15_000
    assert estimate(prices, "x", {**BODY, "n": 3}).tokens == small.tokens + 200
    assert estimate(prices, "x", {**BODY, "max_completion_tokens": 10}).tokens == small.tokens
    assert estimate(prices, "x", {**BODY, "max_completion_tokens": 200}).tokens == small.tokens + 100
    unbounded: list[dict[str, Any]] = [{"messages": []}, {**BODY, "max_tokens": "many"}, {**BODY, "max_tokens": True}]
    for nothing in unbounded:
        assert estimate(prices, "x", nothing).tokens >= LARGEST_OUTPUT
    assert estimate(PriceTable(), "x", BODY).cost is None


LIES: list[Any] = [None, 1, [], {}, *({"prompt_tokens": each} for each in (-1, True, 1e300, "9", MOST + 1))]
LIES.append({"completion_tokens": 10**30, "prompt_tokens_details": 7})


@pytest.mark.parametrize("told", LIES)
def test_what_a_server_cannot_mean_is_counted_by_size(tmp_path: Path, told: Any) -> None:
    answer = {"choices": [{"message": {"content": "x" * 300}}], "usage": told}
    found = used(table(tmp_path), "x", BODY, answer, 1.0)
    assert 5 < found.tokens_in < 50 and 100 < found.tokens_out < 150 and found.tokens_cached == 0


def test_what_a_server_says_is_counted(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}}
    found = used(table(tmp_path), "gpt-4o-mini", BODY, {"usage": usage}, 1.5)
    assert (found.tokens_in, found.tokens_out, found.tokens_cached, found.tokens) == (10, 2, 10, 12)
    assert (found.cost, found.seconds) == (10 * 75 + 2 * 600, 1.5)


def test_money_and_periods() -> None:
    from datetime import UTC, datetime, timedelta, timezone

    assert [money(each, "EUR") for each in (0, NANOS, 1_234_560_000_000, 150)] == [
        *("0.00 EUR", "1.00 EUR", "1,234.56 EUR", "0.00000015 EUR"),
    ]
    assert nanos(Decimal("0.0000000001")) == 1
    for wrong in ("-1", "NaN", "Infinity", "1e10"):
        with pytest.raises(ValueError, match="amount"):
            nanos(Decimal(wrong))
    late = datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    assert period_start("day", late) == period_start("month", late) == datetime(2026, 12, 1, tzinfo=UTC)
    assert period_start("life", late).year == 1970
