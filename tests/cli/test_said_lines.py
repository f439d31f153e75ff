"""What an agent, and its model, say before it is recorded, on a terminal."""

import json
from io import StringIO
from typing import Any

from rich.console import Console

from pavo.cli.task.progress import SaidLines


class Terminal:
    def __init__(self) -> None:
        self.out = StringIO()
        self.lines = SaidLines(Console(file=self.out, width=100))

    def see(self, step: int, *deltas: tuple[str, int, dict[str, Any]]) -> list[str]:
        told = [{"type": kind, "offset": offset, "data": data} for kind, offset, data in deltas]
        self.lines.see("delta", json.dumps({"attempt": 1, "step": step, "deltas": told}))
        return self.out.getvalue().splitlines()


def test_an_answer_that_comes_again_is_shown_once_and_one_that_begins_anew_is_told() -> None:
    terminal = Terminal()
    assert terminal.see(1, ("model_text", 0, {"text": "Wrens\nwei", "anew": 1})) == ["  Wrens"]
    assert terminal.see(1, ("model_text", 0, {"text": "Wrens\nweigh\n", "anew": 1})) == ["  Wrens", "  weigh"]
    shown = terminal.see(1, ("model_text", 0, {"text": "", "anew": 2}))
    assert shown[-1] == "  (taken back: what follows takes its place)"
    assert terminal.see(1, ("model_text", 0, {"text": "Seven\n", "anew": 2}))[3:] == ["  Seven"]


def test_several_texts_do_not_mix() -> None:
    terminal = Terminal()
    terminal.see(1, ("text", 0, {"text": "The agent "}), ("model_text", 0, {"text": "A model ", "anew": 1}))
    told = ("text", 10, {"text": "speaks.\n"}), ("model_text:2", 0, {"text": "Another.\n", "anew": 2})
    assert terminal.see(1, *told, ("other", 0, {"text": "no\n"})) == ["  The agent speaks.", "  Another."]
