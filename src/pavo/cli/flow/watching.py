"""`pavo flow watch`: a run, event by event, until it is over."""

import uuid
from functools import partial
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pavo.cli.exit_codes import DONE, FAILED
from pavo.cli.flow.client import FlowClient
from pavo.cli.jobs.event_lines import event_line
from pavo.cli.jobs.moments import local_time
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.observe.printable import printable_line
from pavo.timeline.schemas import EventOut

_END: Final = "run_ended"


def watch(
    run: Annotated[uuid.UUID, Parameter(help="The run.")],
    /,
    *,
    after: Annotated[int, Parameter(help="Show what follows this number.")] = 0,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Follow a run until it is over: exit code 1 where it failed or was cancelled. With -o json an event a line."""
    printer = Printer(output)
    with FlowClient.from_environment(url) as client:
        for event in client.events(run, after):
            printer.show_line(event, partial(_print, printer.people, event))
            if event.type == _END:
                break
        state = client.run(run).state
    return DONE if state == "succeeded" else FAILED


def _print(out: Console, event: EventOut) -> None:
    told = printable_line(event_line(event.model_extra or {}))
    out.print(Text.assemble((f"{local_time(event.at)}  ", "dim"), (f"{event.type:<14} ", "bold"), told), soft_wrap=True)
