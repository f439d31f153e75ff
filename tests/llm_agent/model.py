"""A model that a test makes up: it answers a request by what is asked, and how far the conversation is."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PLAN = {
    "goal": "Know what it costs.",
    "steps": [{"title": "Look it up", "detail": "In the price list."}, {"title": "Say it"}],
    "risks": ["The list may be old."],
    "tools": ["price"],
}


def calls(*wanted: tuple[str, Any], text: str | None = None) -> dict[str, Any]:
    """An answer that wants these calls; the ids are a provider's, the same in every answer."""
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(wanted)
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def step(number: int, state: str = "begun", note: str = "") -> tuple[str, Any]:
    """A word of progress."""
    return "plan_step", {"number": number, "state": state, "note": note}


class Model:
    """Answers planning by `plans` in turn, and the conversation by `turns`."""

    def __init__(self, turns: Sequence[Any], plans: Sequence[Any] = (PLAN,)) -> None:
        self.turns, self.plans = turns, plans
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, request: Mapping[str, Any]) -> Any:
        self.asked.append(request)
        messages = request["messages"]
        done = sum(message["role"] == "assistant" for message in messages)
        if "response_format" in request:
            found = self.plans[min(done, len(self.plans) - 1)]
            return found if isinstance(found, str) else json.dumps(found)
        if not request.get("tools"):
            return "In short: the price is 7."
        found = self.turns[min(done, len(self.turns) - 1)]
        return found(request) if isinstance(found, Callable) else found  # type: ignore[arg-type]


def told(request: Mapping[str, Any]) -> list[str]:
    """What the tools answered."""
    return [message["content"] for message in request["messages"] if message["role"] == "tool"]
