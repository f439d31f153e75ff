"""Text of others: whatever it holds, a terminal or a log prints it, and obeys nothing in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.observe.printable import printable, printable_line

ANY = st.text(
    st.characters() | st.sampled_from("\x1b\x07\r\n\t\x85\x9b\u200d\u200c\u202e\u2066\u2028\u3164\ufeff\\م👩")
)


def shows(character: str) -> bool:
    """Whether it is printed, or is a blank, or a joiner (which `test_a_joiner_…` is about)."""
    return character.isprintable() or character in "\u200c\u200d" or (character.isspace() and ord(character) > 0x2029)


@given(ANY)
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    assert all(shows(one) or one in "\n\t\u00a0" or one.isspace() for one in printable(text))
    assert not set(printable(text)) & set("\x1b\r\x85\x9b\u202e\u2066\u2028\u2029\u3164\ufeff\x0b\x0c\x1c\x1d\x1e\x1f")
    line = printable_line(text)
    assert len(line.splitlines()) <= 1 and "\t" not in line
    assert printable(printable(text)) == printable(text) and printable_line(line) == line


@given(st.recursive(ANY | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_json_stays_json_and_means_the_same(value: object) -> None:
    assert json.loads(printable(json.dumps(value, ensure_ascii=False, indent=2))) == value
    assert json.loads(printable_line(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\u001b[2J"),
        ("\x9b31m", "\\u009b31m"),
        ("\x1b]52;c;cm0=\x07", "\\u001b]52;c;cm0=\\u0007"),
        ("a\u202eb", "a\\u202eb"),
        ("ac\u200bcept", "ac\\u200bcept"),
        ("ac\u200dcept", "ac\\u200dcept"),
        ("\u3164", "\\u3164"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\udc80", "\\udc80"),
        ("a\rb\r\nc\td", "a\\rb\nc\td"),
    ],
)
def test_what_would_act_or_hide_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_one_line() -> None:
    assert printable_line("a\r\nb\tc\x0bd\u2028e") == "a\\r\\nb\\tc\\u000bd\\u2028e"
    assert printable_line("a\tb\nc", tabs=True) == "a\tb\\nc"


@pytest.mark.parametrize(
    "text",
    ["Größe: 5 µm — “naïve”", "می\u200cخواهم", "क्\u200dष", "👩\u200d💻 ❤️", "日本語\u3000全角", "a\u00a0b\u202fc"],
)
def test_every_language_stays_as_it_is(text: str) -> None:
    assert printable(text) == text == printable_line(text)
