"""The agent `command`: runs a program that the operator has named, chosen by the task's options."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from pavo.adapters.commands.command_agent import CommandAgent
from pavo.agents.contract import AgentContext
from pavo.config_section import COMMANDS, parse_commands
from pavo.errors import AgentRefused

_FIELD: Final = "agent_options.program"


class NamedCommand(CommandAgent):
    """A task names one of the programs in PAVO_COMMANDS, and never says what that is."""

    name: ClassVar[str] = "command"
    description: ClassVar[str] = "Runs a program that the operator has named, in any language."
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "program": {"type": "string", "description": "Name of one of the programs in PAVO_COMMANDS."},
            "options": {"type": "object", "default": {}, "description": "Whatever that program takes."},
        },
        "required": ["program"],
        "additionalProperties": False,
    }

    def program(self, ctx: AgentContext) -> Sequence[str]:
        """What the operator's name stands for.

        Raises:
            AgentRefused: there is none of this name here.
        """
        try:
            known = parse_commands(os.environ.get(COMMANDS, ""))
        except ValueError as error:
            raise AgentRefused(f"{COMMANDS}: {error}.", remedy="Have an operator correct it.") from error
        chosen = str(ctx.options["program"])
        if chosen not in known:
            names = f"Known: {', '.join(known)}." if known else "It names none."
            remedy = f"An operator names programs in {COMMANDS}. {names}"
            raise AgentRefused(f"There is no program {chosen[:100]!r}.", field=_FIELD, remedy=remedy)
        return known[chosen]
