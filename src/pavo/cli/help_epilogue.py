"""What ends the help of a command: what may be typed, and the exit codes."""

from typing import Final

EXIT_CODES: Final = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not possible now, 5 not available."
EXAMPLES: Final = {
    "pavo": {
        "pavo up --detach": "everything runs, in the background",
        'pavo run "Analyze churn drivers"': "a task from its plan, which you review, to its report",
        "pavo task list": "your tasks, and how far they are",
        "pavo deploy start --dry-run": "what a server would run",
    },
    "run": {
        'pavo run "Analyze churn drivers"': "you are asked about the plan",
        'pavo run "Draft" --prompt @draft.txt --accept': "what to do is in a file, and the plan is not reviewed",
        'pavo run "Load" --option steps=200 --accept -o json': "for programs",
    },
    "deploy": {
        "pavo deploy start --dry-run": "what would be started and changed",
        "pavo deploy start --target compose": "the stack by Docker",
        "pavo deploy set PAVO_AUTH=token": "a setting that lasts, whatever shell starts it next",
        "pavo deploy check": "whether a rollout may go on",
    },
    "webhook": {
        "pavo webhook add https://example.com/hooks/pavo": "tell this receiver of everything",
        "pavo webhook test https://example.com/hooks/pavo": "whether it takes what is sent",
        "pavo webhook deliveries https://example.com/hooks/pavo --state pending": "what it has not taken yet",
    },
    "token": {"pavo token list": "whose tokens there are"},
    "task": {
        "pavo task list --stage WAIT_RFC": "the tasks that wait for your review",
        "pavo task list -q churn --since 7d --created-by me": "your own of this week, by a word of their titles",
        'pavo task message last "Look at Norway too"': "say something to it; its agent reads that",
        "pavo task watch last": "the newest task, until it ends or waits",
        "pavo task report last > report.md": "its report as Markdown",
    },
}
"""Of a command: what may be typed, and what that does."""


def epilogue(name: str) -> str:
    """What ends the help of a command: examples, if it has some, and the exit codes."""
    examples = "".join(f"- `{typed}` - {meaning}\n" for typed, meaning in EXAMPLES.get(name, {}).items())
    return f"Examples:\n\n{examples}\n{EXIT_CODES}" if examples else EXIT_CODES
