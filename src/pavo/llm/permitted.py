"""Which models an organisation's agents may use, by the operator's word."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from pavo.usage.domain import Payer

FORBIDDEN: Final = 403
"""Status of what is not permitted."""
_TOLD: Final = 20
"""Patterns that a refusal names."""


@dataclass(frozen=True, slots=True)
class _Rule:
    agent: str
    """A pattern."""
    organisation: uuid.UUID | None
    """None: any."""
    model: str
    """A pattern."""

    def is_about(self, who: Payer) -> bool:
        """Whether this rule is about calls of this agent in this organisation."""
        mine = self.organisation in (None, who.subject.organisation_id)
        return mine and fnmatchcase(who.agent, self.agent)


class PermittedModels:
    """What `PAVO_LLM_MODELS` says. Where it says nothing, every model may be used.

    Args:
        rules: of the form `MODEL`, `AGENT=MODEL`, `@ORGANISATION=MODEL` or `AGENT@ORGANISATION=MODEL`, with * and ? as
            in a shell; `config_models` has checked them.
    """

    def __init__(self, rules: str) -> None:
        self._rules = [_rule(each) for each in rules.split()]

    def refusal(self, who: Payer, model: str) -> tuple[str, str] | None:
        """Why this agent may not use the model, and what to do; None: it may."""
        patterns = [rule.model for rule in self._rules if rule.is_about(who)]
        if not self._rules or any(fnmatchcase(model, pattern) for pattern in patterns):
            return None
        told = f"The agent {who.agent!r} may not use the model {model[:200]!r} in this organisation."
        return told, f"{_known(patterns)} Or have the operator permit it: PAVO_LLM_MODELS."


def _rule(text: str) -> _Rule:
    who, given, model = text.partition("=")
    if not given:
        return _Rule("*", None, text)
    agent, _, organisation = who.partition("@")
    return _Rule(agent or "*", uuid.UUID(organisation) if organisation else None, model)


def _known(patterns: Sequence[str]) -> str:
    if not patterns:
        return "It may use none."
    more = ", …" if len(patterns) > _TOLD else ""
    return f"Use one of these: {', '.join(patterns[:_TOLD])}{more}."
