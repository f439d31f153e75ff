"""`pavo up` in the background: what its child is told, and what people are told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pavo.cli import foreground
from pavo.cli.main import app
from pavo.errors import Unavailable


class Told(Unavailable):
    """Instead of a child: its words."""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of the child that would be started."""
    words: list[str] = []

    def detach(arguments: Sequence[str], *_: object, **__: object) -> None:
        words.extend(arguments)
        raise Told("no child here", dependency="stack")

    monkeypatch.setattr(foreground, "detach", detach)
    return words


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The parameters of the command, with its defaults."""
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return dict(bound.arguments)


@pytest.mark.parametrize("detach", ["--detach", "--detach=true", "--detach=yes"])
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--port", "0", "--workers=3", "--no-spare-worker", "--allow-file-origin"],
        ["--port=8111", "--no-browser", "--spare-worker", "--no-ephemeral"],
    ],
)
def test_the_child_stays_in_the_foreground(child: list[str], tmp_path: Path, detach: str, words: list[str]) -> None:
    data_dir = ["--data-dir", str(tmp_path / "data")]
    with pytest.raises(Told):
        app(["up", detach, *words, *data_dir], exit_on_error=False)
    assert child[0] == "up"
    assert parsed(child) == {**parsed(["up", *words, *data_dir]), "detach": False, "open_browser": False}


def test_the_child_of_a_throw_away_stack_gets_its_folder(child: list[str]) -> None:
    with pytest.raises(Told):
        app(["up", "--ephemeral", "--detach=true"], exit_on_error=False)
    found = parsed(child)
    assert found["ephemeral"] and not found["detach"] and found["data_dir"].is_absolute()
    assert not found["data_dir"].exists(), "nobody else would remove it"
