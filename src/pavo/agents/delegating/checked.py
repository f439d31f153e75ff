"""A delegation as an agent makes it, checked before anything is done with it."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

from pavo.agents.asking.question import KEY
from pavo.agents.delegating.delegation import Delegation
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, plain

MAX_AGENT: Final = 100
MAX_TITLE: Final = 300
MAX_PROMPT: Final = 200_000
"""Characters, as of every task."""
MAX_OPTION_BYTES: Final = 256_000


def checked_delegation(agent: object, title: object, prompt: object, options: object, key: object) -> Delegation:
    """The delegation as it will be made.

    Raises:
        AgentRefused: it breaks the contract; the text names the argument.
    """
    if not isinstance(agent, str) or not agent or len(agent) > MAX_AGENT:
        _refuse("agent", f"{str(agent)[:100]!r} is no name of an agent", "Look at the list of agents.")
    if not isinstance(title, str) or not title.strip() or len(title) > MAX_TITLE:
        _refuse("title", "it is empty, no text, or too long", f"Give a text of at most {MAX_TITLE} characters.")
    if not isinstance(prompt, str) or len(prompt) > MAX_PROMPT:
        _refuse("prompt", "it is no text, or too long", f"Give at most {MAX_PROMPT:,} characters.")
    if key is not None and (not isinstance(key, str) or not KEY.fullmatch(key)):
        _refuse("key", f"{str(key)[:100]!r} is no key", "Use at most 100 letters, digits and _ . : / - in ASCII.")
    if not isinstance(options, Mapping):
        _refuse("options", f"{type(options).__name__} where an object belongs", "Give a dict of the agent's options.")
    given = {"agent": agent, "title": title, "prompt": prompt}
    try:
        texts, _ = plain(given)
        found, size = plain(dict(cast(Mapping[str, Any], options)))
    except NotStorable as error:
        _refuse("options", str(error), error.remedy or "Give plain JSON.")
    if size > MAX_OPTION_BYTES:
        _refuse("options", f"they have {size:,} bytes", f"Keep them under {MAX_OPTION_BYTES:,}.")
    return Delegation(texts["agent"], texts["title"], texts["prompt"], found, key)


def _refuse(argument: str, wrong: str, remedy: str) -> NoReturn:
    raise AgentRefused(f"delegate(): {argument}: {wrong}.", field=argument, remedy=remedy)
