import json
from typing import Any

import pytest

from pavo.cli.task.agents import agents_app
from pavo.errors import InvalidInput


def call(*arguments: str) -> None:
    agents_app(list(arguments), exit_on_error=False, result_action="return_value")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    call("list")
    output = capsys.readouterr().out
    assert "intern" in output and "tribal_search" in output


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    call("list", "-o", "json")
    listed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"intern", "tribal_search"} <= {agent["name"] for agent in listed["agents"]}
    assert listed["broken"] == []


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    call("show", "intern")
    output = capsys.readouterr().out
    assert "step_seconds" in output and "1..1000000" in output and "worker" in output


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    call("show", "intern", "-o", "json")
    assert json.loads(capsys.readouterr().out)["options_schema"]["properties"]["steps"]["default"] == 200


def test_show_an_unknown_agent() -> None:
    with pytest.raises(InvalidInput):
        call("show", "interm")
