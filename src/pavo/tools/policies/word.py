"""What the operator of a deployment says of tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pavo.tools.contract import Effect
from pavo.tools.policies.domain import ALLOW, Decision


@dataclass(frozen=True, slots=True)
class OperatorsWord:
    """What the operator of a deployment says of tools, by its settings."""

    unsafe: Decision = ALLOW
    """What holds for calls of unsafe tools that no policy is about."""
    effects: Mapping[str, Effect] = field(default_factory=dict[str, Effect])
    """What calling these does, whatever they say themselves."""

    def effect_of(self, tool: str, own: Effect) -> Effect:
        """The tool's own word, unless the operator has another."""
        return self.effects.get(tool, own)
