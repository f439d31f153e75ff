"""The command `pavo`. The module of a subcommand is imported only when that is used.

Exit codes: 0 done · 1 failed · 2 wrong usage or input · 3 not found · 4 not possible now · 5 not available ·
130 interrupted · 141 nobody reads the output any more.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Group
from rich.text import Text

from pavo import __version__
from pavo.cli.encoding import escaped, is_text
from pavo.cli.exit_codes import DONE, INTERRUPTED, UNREAD, WRONG_USAGE, end_process, exit_code
from pavo.cli.help_epilogue import epilogue
from pavo.cli.output import console, say
from pavo.cli.typed_words import as_typed, usage_error
from pavo.errors import InvalidInput, PavoError
from pavo.kit.extras import DISTRIBUTION, needing
from pavo.observe.printable import printable, printable_line

app = App(
    name="pavo",
    version=f"{DISTRIBUTION} {__version__} (import pavo)",
    help="Long AI-agent tasks that survive anything. Start with: pavo up",
    help_epilogue=epilogue("pavo"),
    console=console(),
    error_console=console(stderr=True),
)
TASKS, STACK = Group("Tasks", sort_key=1), Group("The stack on this machine", sort_key=2)
SERVERS, PEOPLE = Group("Servers and deployments", sort_key=3), Group("People and documents", sort_key=4)
JOBS, FLOWS = Group("Coding jobs", sort_key=1.5), Group("Flows", sort_key=1.7)
FLAGS = Group("This command", sort_key=5)
for group, path, name, summary in (
    (TASKS, "pavo.cli.task.run:run", "run", "Create a task, review its plan, and watch it to its report."),
    (TASKS, "pavo.cli.task.commands:task_app", "task", "List, show, review, stop, resume and watch tasks."),
    (TASKS, "pavo.cli.inbox.commands:inbox_app", "inbox", "What waits for people, and answering it."),
    (TASKS, "pavo.cli.task.agents:agents_app", "agents", "The agents that the workers have."),
    (TASKS, "pavo.cli.tools.tools:tools_app", "tools", "The tools that agents may call."),
    (TASKS, "pavo.cli.tools.policies:policy_app", "policy", "Which calls of tools people are asked about."),
    (TASKS, "pavo.cli.usage.commands:usage", "usage", "What models' calls took: tokens, cost, time."),
    (TASKS, "pavo.cli.usage.commands:budget_app", "budget", "What bounds models' calls: money and tokens."),
    (TASKS, "pavo.cli.schedule.commands:schedule_app", "schedule", "What starts again and again."),
    (TASKS, "pavo.cli.trigger.commands:trigger_app", "trigger", "What starts when a message comes, or something ends."),
    (TASKS, "pavo.cli.task.demo:demo", "demo", "Watch a task survive a killed worker."),
    (JOBS, "pavo.cli.jobs.jobs:job_app", "job", "Submit, list, watch, cancel and rework coding jobs."),
    (JOBS, "pavo.cli.jobs.queue:queue_app", "queue", "The order in which they are done."),
    (JOBS, "pavo.cli.jobs.repositories:repo_app", "repo", "The repositories that coding jobs work in."),
    (JOBS, "pavo.cli.jobs.agents:agent_app", "agent", "Agents on other machines that do coding jobs."),
    (FLOWS, "pavo.cli.flow.commands:flow_app", "flow", "Check, test, publish and run flows."),
    (STACK, "pavo.cli.stack.up:up", "up", "Start the whole stack on this machine."),
    (STACK, "pavo.cli.stack.down:down", "down", "Stop the stack; tasks in flight go on at the next start."),
    (STACK, "pavo.cli.stack.status:status", "status", "Show the stack's parts."),
    (STACK, "pavo.cli.stack.logs:logs", "logs", "Show the parts' logs."),
    (STACK, "pavo.cli.stack.reset:reset", "reset", "Remove the stack's data for good."),
    (STACK, "pavo.cli.stack.doctor:doctor", "doctor", "Check this machine for the embedded stack."),
    (
        SERVERS,
        "pavo.cli.deploy.commands:deploy_app",
        "deploy",
        "Run Pavo on a target, check it, upgrade it, back it up.",
    ),
    (SERVERS, "pavo.cli.deploy.validate:validate", "validate", "Prove an installation by a workflow."),
    (SERVERS, "pavo.cli.stack.migrate:migrate", "migrate", "Bring Pavo's schema up to date."),
    (SERVERS, "pavo.cli.stack.api_and_worker:api", "api", "Serve the HTTP API against outside services."),
    (SERVERS, "pavo.cli.stack.api_and_worker:worker", "worker", "Execute tasks from the task queue."),
    (SERVERS, "pavo.cli.stack.api_and_worker:gateway", "gateway", "Serve remote agents, which do coding jobs."),
    (PEOPLE, "pavo.cli.admin.corpus:corpus_app", "corpus", "An organisation's documents."),
    (PEOPLE, "pavo.cli.admin.tokens:token_app", "token", "API tokens."),
    (PEOPLE, "pavo.cli.admin.organisations:org_app", "org", "Organisations, their members and roles."),
    (PEOPLE, "pavo.cli.admin.secrets:secret_app", "secret", "An organisation's secrets, for its agents."),
    (PEOPLE, "pavo.cli.admin.endpoints:endpoint_app", "endpoint", "Where an organisation's models are asked."),
    (PEOPLE, "pavo.cli.admin.webhooks:webhook_app", "webhook", "Whom Pavo tells of an organisation's tasks."),
):
    # One with commands of its own says this where it is defined.
    ends = {} if path.endswith("_app") else {"help_epilogue": epilogue(name)}
    app.command(path, name=name, help=summary, group=group, **ends)
app.register_install_completion_command()
for flag in ("--help", "--version", "--install-completion"):
    app[flag].group = FLAGS


def print_error(error: PavoError) -> None:
    """Say what happened and what to do about it."""
    shown = console(stderr=True)
    detail = f" {error.title}. {printable(str(error.detail))}"
    shown.print(Text.assemble(("Error:", "bold red"), detail), soft_wrap=True)
    field, remedy = as_typed(error, sys.argv[1:], app)
    if field:
        say(f"  at {printable_line(str(field))}", to=shown)
    if remedy:
        say(f"  → {printable_line(str(remedy))}", to=shown)


def check_words(words: Sequence[str]) -> None:
    """Refuse, once for all commands, what can be neither sent nor stored nor printed.

    Raises:
        InvalidInput: a word of the command line is not UTF-8.
    """
    for word in words:
        if not is_text(word):
            raise InvalidInput(
                f"A word of the command line is not UTF-8: {escaped(word)}.",
                field="command line",
                remedy="Type it in UTF-8; file names too.",
            )


def main() -> None:
    """Entry point of the console script."""
    try:
        check_words(sys.argv[1:])
        with needing("This command"):
            result = app(exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        print_error(usage_error(error, sys.argv[1:], app))
        _exit(WRONG_USAGE)
    except PavoError as error:
        print_error(error)
        _exit(exit_code(error))
    except KeyboardInterrupt:
        _exit(INTERRUPTED)
    except BrokenPipeError:  # the reader has enough, as in `pavo logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the rest of the buffer goes
        _exit(UNREAD)
    else:
        _exit(result if isinstance(result, int) else DONE)


def _exit(code: int) -> NoReturn:
    """End as Python programs do, or at once where Temporal's client could abort the interpreter's own end."""
    if "temporalio.bridge" in sys.modules:
        end_process(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
