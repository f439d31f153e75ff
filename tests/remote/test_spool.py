"""Log lines on their way: numbered once, bounded, given out again after a connection, holes told."""

import os
import uuid
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.journal import Attempt
from pavo.remote.spool import TEXT_BYTES, Spool

ONE = Attempt(str(uuid.UUID(int=1)), 1)
OTHER = Attempt(str(uuid.UUID(int=1)), 2)


def line(text: str) -> pb.LogLine:
    return pb.LogLine(at_ms=1, source="program", text=text)


def rest(spool: Spool, attempt: Attempt = ONE, most: int = 10_000) -> list[pb.LogLine]:
    found: list[pb.LogLine] = []
    while (chunk := spool.next_chunk(attempt, most)) is not None:
        assert (chunk.job_id, chunk.epoch) == (attempt.job_id, attempt.epoch)
        found += chunk.lines
    return found


def test_lines_are_numbered_and_given_out_once_a_connection(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert [spool.add(ONE, line(f"{n}")) for n in range(3)] == [1, 2, 3] and spool.add(OTHER, line("x")) == 1
    assert [each.text for each in rest(spool)] == ["0", "1", "2"] and spool.next_chunk(ONE) is None
    assert spool.waiting() == [OTHER]
    spool.add(ONE, line("3"))
    assert [(each.seq, each.gap) for each in rest(spool)] == [(4, 0)]
    spool.begin_at(ONE, 2)
    assert [(each.seq, each.text, each.gap) for each in rest(spool)] == [(3, "2", 0), (4, "3", 0)]
    spool.acknowledge(ONE, 4)
    assert spool.is_acknowledged(ONE) and not spool.is_acknowledged(OTHER)


def test_another_life_goes_on_with_the_numbers(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    for n in range(20):
        spool.add(ONE, line(f"line {n}"))
    spool.close()
    again = Spool(tmp_path, segment_bytes=200)
    assert again.last_of(ONE) == 20 and again.attempts() == [ONE]
    again.begin_at(ONE, 17)
    assert [each.seq for each in rest(again)] == [18, 19, 20]
    assert again.add(ONE, line("more")) == 21
    again.acknowledge(ONE, 21)
    again.close()
    third = Spool(tmp_path, segment_bytes=200)
    third.begin_at(ONE, 21)
    assert third.is_acknowledged(ONE) and third.add(ONE, line("on")) == 22


def test_a_line_in_which_the_program_died_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(ONE, line("whole"))
    spool.add(ONE, line("half"))
    spool.close()
    (path,) = tmp_path.rglob("*.lines")
    os.truncate(path, path.stat().st_size - 2)
    again = Spool(tmp_path)
    assert again.last_of(ONE) == 1 and again.add(ONE, line("new")) == 2
    assert [each.text for each in rest(again)] == ["whole", "new"]


def test_what_has_no_room_is_told_as_a_gap(tmp_path: Path) -> None:
    spool = Spool(tmp_path, attempt_bytes=2_000, segment_bytes=500)
    for n in range(200):
        spool.add(ONE, line(f"line {n}"))
    found = rest(spool)
    assert found[0].gap == found[0].seq - 1 > 100 and found[-1].seq == 200
    assert [each.gap for each in found[1:]] == [0] * (len(found) - 1)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.lines")) <= 2_500


def test_a_full_disk_costs_lines_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(ONE, line("before"))
    with patch("pavo.remote.spool.os.write", side_effect=OSError(28, "No space left on device")):
        assert [spool.add(ONE, line("lost")) for _ in range(3)] == [2, 3, 4]
        assert [each.text for each in rest(spool)] == ["before"]
    spool.add(ONE, line("after"))
    assert [(each.seq, each.gap, each.text) for each in rest(spool)] == [(5, 3, "after")]
    spool.begin_at(ONE, 1)
    assert [(each.seq, each.gap) for each in rest(spool)] == [(5, 3)]


def test_texts_and_events_are_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(ONE, pb.LogLine(text="ä" * 20_000, event='{"a": "' + "x" * 100_000 + '"}'))
    (found,) = rest(spool)
    assert len(found.text.encode()) < TEXT_BYTES + 100 and found.text.endswith("more)") and found.event == ""


def test_what_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(ONE, line("x"))
    spool.forget(ONE)
    spool.forget(OTHER)
    assert list(tmp_path.iterdir()) == [] and spool.is_acknowledged(ONE) and spool.next_chunk(ONE) is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 300)),
            st.tuples(st.just("read"), st.integers(50, 2_000)),
            st.tuples(st.just("ack"), st.integers(0, 100)),
            st.tuples(st.just("again"), st.integers(0, 1)),
        ),
        max_size=60,
    )
)
def test_a_reader_sees_every_line_or_a_gap(tmp_path_factory, steps) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, attempt_bytes=3_000, segment_bytes=400)
    made, seen, acked = 0, 0, 0
    for what, number in steps:
        if what == "add":
            made += 1
            assert spool.add(ONE, line("x" * number)) == made
        elif what == "read":
            chunk = spool.next_chunk(ONE, number)
            for each in chunk.lines if chunk else ():
                assert each.seq == seen + each.gap + 1
                seen = each.seq
        elif what == "ack":
            acked = max(acked, min(seen, number))
            spool.acknowledge(ONE, acked)
        else:
            spool.close()
            spool = Spool(folder, attempt_bytes=3_000, segment_bytes=400)
            spool.begin_at(ONE, acked)
            made, seen = max(spool.last_of(ONE), acked), acked
    for each in rest(spool):
        assert each.seq == seen + each.gap + 1
        seen = each.seq
    assert seen == made or made == 0
    spool.close()
