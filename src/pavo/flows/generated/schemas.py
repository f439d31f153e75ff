"""Wire shapes of generated flows. They are read by clients too."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pavo.flows.checking.checked import FlowProblem, Unchecked
from pavo.flows.generated.examined import TriedCase
from pavo.flows.generated.reach import CalledByFlow, FlowCost
from pavo.flows.published.schemas import FlowDifferenceOut
from pavo.kit.texts.fields import FilledText, Text

MAX_REQUEST: Final = 10_000
MAX_EDITED: Final = 100_000
"""Characters of a flow that is edited: a model is given all of it."""
MAX_SECONDS: Final = 500.0
"""An answer comes within so long: three calls of a model, and what is examined between them."""


class FlowGenerate(BaseModel):
    """What a flow is to do."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    request: FilledText = Field(max_length=MAX_REQUEST)
    """In words: what the flow does, or what is to be changed in one."""
    text: Text | None = Field(None, max_length=MAX_EDITED)
    """The flow that is changed, YAML or JSON; it may be wrong."""
    name: Text | None = Field(None, max_length=63)
    """Name of a published flow, whose current version is changed."""
    model: Text | None = Field(None, max_length=200)
    """Which model, also as `endpoint:NAME/MODEL`; default: the deployment's."""


class GenerationSpent(BaseModel):
    """What asking the model took."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    calls: int
    tokens_in: int
    tokens_out: int
    cost: str | None
    """In money; null: the price is not known."""


class GeneratedFlow(BaseModel):
    """A flow that was written of words, or why there is none. Nothing of it is kept, and nothing runs: publish it with
    `accept`, its hash."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    outcome: Literal["proposed", "refused", "failed"]
    """refused: the model says why; failed: what it wrote is wrong, and stayed so."""
    words: str
    """Of a refusal: why, in the model's words."""
    flow: str | None
    """Name of the flow; null where none is proposed, as what follows."""
    hash: str | None
    """What `accept` is to be when it is published."""
    text: str | None
    """YAML of all that it says, without comments. Of a failure: what the model wrote last, which is wrong."""
    cases: str | None
    """The model's cases, for `pavo flow test`; null: it wrote none that can be read."""
    steps: int | None
    calls: list[CalledByFlow]
    """All that it would call, or ask."""
    cost: FlowCost | None
    """What one run may cost."""
    tried: list[TriedCase]
    """Runs with fakes."""
    unasked: list[str]
    """Secrets, addresses and a name that the request does not name: look at these twice."""
    only_on_temporal: list[str]
    """Ids of the steps that are Temporal workflows of their own."""
    unchecked: list[Unchecked]
    """Names in it that were not looked up, and why."""
    difference: FlowDifferenceOut | None
    """From the flow that was changed; null: there was none, or it could not be read."""
    problems: list[FlowProblem]
    """Of a failure: what is wrong. Of a proposal: why its cases cannot be run."""
    rounds: int
    """Answers that the model gave, at most 3."""
    spent: GenerationSpent
