"""The report of a conversation."""

import re
from collections.abc import Sequence
from typing import Final

from pavo.agents.contract import Plan, Spent
from pavo.agents.llm_agent.conversation import DONE, LEFT, Conversation, Work
from pavo.artifacts.domain import Artifact

FILES: Final = 100
"""That are named: a task may have ten thousand."""
_WORDS = {DONE: "done", LEFT: "left", "begun": "begun, and not said to be done", "": "the model said nothing of it"}


def report_of(title: str, plan: Plan, found: Conversation, spent: Spent, files: Sequence[Artifact] | None) -> str:
    """The model's last word; for each step of the plan what it said of it; what it took, and which files there are."""
    lines = [f"# {title}", "", (found.result or "").strip() or "The model gave no result.", "", "## By plan step", ""]
    lines += [
        _line(number, step.title, found.work.get(str(number), Work())) for number, step in enumerate(plan.steps, 1)
    ]
    if other := found.work.get("0"):
        lines.append(f"- Beside the steps: {_spent(other)}")
    usage = found.usage
    lines += ["", "## What it took", ""]
    lines.append(
        f"{usage.get('calls', 0)} answers of the model, {usage.get('input', 0):,} tokens in, "
        f"{usage.get('output', 0):,} tokens out; {sum(work.calls for work in found.work.values())} calls of tools."
    )
    if found.compactions:
        lines.append(f"The conversation was summed up {found.compactions} times on the way.")
    lines += ["", _all_calls(spent), _cost(spent), "", "## Files", "", *_files(files)]
    return "\n".join([*lines, ""])


def _line(number: int, title: str, work: Work) -> str:
    told = f": {work.note}" if work.note else ""
    return f"{number}. **{title}**: {_WORDS.get(work.state, work.state)}{told} ({_spent(work)})"


def _spent(work: Work) -> str:
    return f"{work.tokens:,} tokens, {work.calls} calls of tools"


def _all_calls(spent: Spent) -> str:
    cached = f" ({spent.tokens_cached:,} of them from a cache)" if spent.tokens_cached else ""
    return (
        f"The task in all, with its planning: {spent.calls} calls of models, {spent.tokens_in:,} tokens in{cached}, "
        f"{spent.tokens_out:,} tokens out."
    )


def _cost(spent: Spent) -> str:
    if spent.calls and spent.unpriced == spent.calls:
        return "Cost: not known, for the operator names no price of what was asked (`PAVO_PRICES`)."
    rest = f", and {spent.unpriced} calls whose price is not known" if spent.unpriced else ""
    return f"Cost: {spent.cost_told or 'none'}{rest}."


def _files(files: Sequence[Artifact] | None) -> list[str]:
    if not files:
        return ["None." if files is not None else "None: the worker has no place for them."]
    lines = [f"- {_code(each.name)} ({each.media_type}, {each.bytes:,} bytes)" for each in files[:FILES]]
    if rest := files[FILES:]:
        lines.append(f"- and {len(rest):,} more ({sum(each.bytes for each in rest):,} bytes)")
    return lines


def _code(name: str) -> str:
    """As code of Markdown, whatever it holds."""
    if "`" not in name:
        return f"`{name}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", name))))
    return f"{fence} {name} {fence}"
