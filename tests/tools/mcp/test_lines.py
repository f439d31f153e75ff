"""Lines that are bounded: however they are cut into chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.tools.mcp import lines
from pavo.tools.mcp.lines import Flooded, Lines, TooLong

LIMIT = 400


@given(st.lists(st.binary(max_size=600).filter(lambda each: b"\n" not in each), max_size=8), st.data())
def test_they_come_as_they_were_written(written: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in written)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=10).map(sorted))
    splitter, found = Lines(LIMIT), []
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += splitter.feed(whole[begin:end], 1.0)
    assert found == [line if len(line) <= LIMIT else TooLong(None) for line in written]


@pytest.mark.parametrize("cut", [1, 250, 399, 401, 700, 10_000])
@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":"' + b"x" * 900 + b'"}', 7),
        (b'{"jsonrpc": "2.0", "result": "' + b"x" * 900 + b'", "id": 8}', 8),
        (b'{"result": "' + b"x" * 900 + b'", "id": 9, "jsonrpc": "2.0"}', 9),
        (b'{"jsonrpc":"2.0","method":"' + b"x" * 900 + b'"}', None),
    ],
)
def test_a_line_that_is_too_long_tells_whose_answer_it_is(line: bytes, request_id: int | None, cut: int) -> None:
    splitter = Lines(LIMIT)
    found = [*splitter.feed(line[:cut], 1.0), *splitter.feed(line[cut:] + b"\nnext\n", 1.0)]
    assert found == [TooLong(request_id), b"next"]


def test_too_much_within_a_window_is_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "WINDOW_MESSAGES", 10)
    monkeypatch.setattr(lines, "WINDOW_BYTES", 1_000)
    splitter = Lines(LIMIT)
    for second in range(5):
        assert len(list(splitter.feed(b"x\n" * 8, second * 20.0))) == 8
    with pytest.raises(Flooded):
        list(splitter.feed(b"x\n" * 8, 81.0))
    with pytest.raises(Flooded):
        list(Lines(LIMIT).feed(b"x" * 1_001, 1.0))
