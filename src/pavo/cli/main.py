"""The command `pavo`: every command is imported when it is used.

Exit codes: 0 done · 1 failed · 2 wrong usage or input · 3 not found · 4 not possible now · 5 not available ·
130 interrupted · 141 nobody reads the output any more.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from pavo import __version__, errors
from pavo.cli.output import console
from pavo.cli.words import is_text, shown
from pavo.errors import InvalidInput, PavoError
from pavo.kit.extras import DISTRIBUTION, needing

EXIT_CODES: dict[type[PavoError], int] = {
    errors.ConfigurationError: 2,
    errors.InvalidInput: 2,
    errors.NotFound: 3,
    errors.Conflict: 4,
    errors.Unavailable: 5,
    PavoError: 1,
}
"""The nearest class in an error's tree decides."""
INTERRUPTED = 130
UNREAD = 141
"""As a shell reports programs that SIGPIPE ends."""

app = App(
    name="pavo",
    version=f"{DISTRIBUTION} {__version__} (import pavo)",
    help="Long AI-agent tasks that survive anything. Start with: pavo up",
    help_epilogue="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not possible now, 5 not available.",
    console=console(),
    error_console=console(stderr=True),
)
for path, name, summary in (
    ("pavo.cli.stack.up:up", "up", "Start the whole stack on this machine."),
    ("pavo.cli.stack.control:down", "down", "Stop the stack; tasks in flight go on at the next start."),
    ("pavo.cli.stack.control:status", "status", "Show the stack's parts."),
    ("pavo.cli.stack.control:logs", "logs", "Show the parts' logs."),
    ("pavo.cli.stack.control:reset", "reset", "Remove the stack's data for good."),
    ("pavo.cli.stack.doctor:doctor", "doctor", "Check this machine for the embedded stack."),
    ("pavo.cli.deploy.validate:validate", "validate", "Prove an installation by a workflow."),
    ("pavo.cli.stack.parts:migrate", "migrate", "Bring Pavo's schema up to date."),
    ("pavo.cli.stack.parts:api", "api", "Serve the HTTP API against outside services."),
    ("pavo.cli.stack.parts:worker", "worker", "Execute tasks from the task queue."),
    ("pavo.cli.task.tasks:run", "run", "Create a task, review its plan, and watch it to its report."),
    ("pavo.cli.task.tasks:task_app", "task", "List, show, review, stop, resume and watch tasks."),
    ("pavo.cli.task.agents:agents_app", "agents", "Which agents are installed."),
    ("pavo.cli.admin.commands:corpus_app", "corpus", "An organisation's documents."),
    ("pavo.cli.admin.commands:token_app", "token", "API tokens."),
    ("pavo.cli.admin.commands:org_app", "org", "Organisations and invitations."),
    ("pavo.cli.deploy.commands:deploy_app", "deploy", "Run Pavo on a target, check it, upgrade it, back it up."),
    ("pavo.cli.task.demo:demo", "demo", "Watch a task survive a killed worker."),
):
    app.command(path, name=name, help=summary)
app.register_install_completion_command()


def exit_code(error: PavoError) -> int:
    """The exit code of an error."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def report(error: PavoError) -> int:
    """Say what happened and what to do about it; answers the exit code."""
    shown = console(stderr=True)
    shown.print(f"[bold red]Error:[/] {error.title}. ", end="")
    shown.print(error.detail, markup=False, soft_wrap=True)
    if error.field:
        shown.print("  at ", end="")
        shown.print(error.field, markup=False)
    if error.remedy:
        shown.print("  → ", end="")
        shown.print(error.remedy, markup=False, soft_wrap=True)
    return exit_code(error)


def check_words(words: Sequence[str]) -> None:
    """Here once for all commands: what is no text can be neither sent nor stored nor printed.

    Raises:
        InvalidInput: a word of the command line is not UTF-8.
    """
    for word in words:
        if not is_text(word):
            raise InvalidInput(
                f"A word of the command line is not UTF-8: {shown(word)}.",
                field="command line",
                remedy="Type it in UTF-8; file names too.",
            )


def main() -> None:
    """Entry point of the console script."""
    try:
        check_words(sys.argv[1:])
        with needing("This command"):
            result = app(exit_on_error=False, print_error=True, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError:
        _exit(2)
    except PavoError as error:
        _exit(report(error))
    except KeyboardInterrupt:
        _exit(INTERRUPTED)
    except BrokenPipeError:  # whoever reads has enough, as in `pavo logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in its buffer
        _exit(UNREAD)
    else:
        _exit(result if isinstance(result, int) else 0)


def _exit(code: int) -> NoReturn:
    """Temporal's client has threads that would abort an interpreter which is just ending, and its exit code."""
    if "temporalio.bridge" in sys.modules:
        from pavo.cli.services import leave

        leave(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
