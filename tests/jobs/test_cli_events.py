"""What `pavo job watch` says of events."""

import pytest

from pavo.cli.jobs.event_lines import event_line
from pavo.cli.output import fields


def test_an_error_is_told_in_words() -> None:
    error = {"type": "BranchMissing", "cause": "There is no branch x.", "remedy": "Correct it."}
    told = event_line({"how": "failed", "epoch": 2, "error": error, "owes_cleanup": True})
    expected = "attempt 2, how failed, error BranchMissing: There is no branch x. Correct it., owes cleanup yes"
    assert told == expected


def test_what_only_programs_need_is_left_out() -> None:
    assert event_line({"agent": "build-7", "agent_id": "01a2", "epoch": 1}) == "attempt 1, agent build-7"
    added = {"name": "patch", "sha256": "00ff", "artifact_id": "01a2", "media_type": "text/x-diff", "bytes": 12}
    assert event_line(added) == "name patch, bytes 12"


def test_whatever_an_event_holds_is_told() -> None:
    assert event_line({"failed": ["lint", "tests"], "passed": False}) == "failed lint tests, passed no"
    assert event_line({"failed": [], "error": {}, "new": None}) == "failed none, error , new None"


def test_a_long_name_of_a_field_stands_apart_from_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    fields({"id": 1, "  late work 12": "owed"})
    assert capsys.readouterr().out.splitlines() == ["id             1", "  late work 12 owed"]
