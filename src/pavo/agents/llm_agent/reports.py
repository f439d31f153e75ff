"""The report of a conversation."""

from pavo.agents.contract import Plan
from pavo.agents.llm_agent.conversation import DONE, LEFT, Conversation, Work

_WORDS = {DONE: "done", LEFT: "left", "begun": "begun, and not said to be done", "": "the model said nothing of it"}


def report_of(title: str, plan: Plan, found: Conversation) -> str:
    """The model's last word; then for each step of the plan what it said of it, and what it took."""
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
    return "\n".join([*lines, ""])


def _line(number: int, title: str, work: Work) -> str:
    told = f": {work.note}" if work.note else ""
    return f"{number}. **{title}**: {_WORDS.get(work.state, work.state)}{told} ({_spent(work)})"


def _spent(work: Work) -> str:
    return f"{work.tokens:,} tokens, {work.calls} calls of tools"
