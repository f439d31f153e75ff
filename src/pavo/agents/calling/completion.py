"""A call of a model as an agent makes it, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast

from pavo.agents.asking.question import KEY, Question
from pavo.errors import AgentRefused, ModelFailed, ModelRefused
from pavo.kit.json_values import NotStorable, fingerprint, plain

JSON: TypeAlias = Any

MAX_REQUEST_BYTES: Final = 16_000_000
"""Of a request as JSON: a conversation of some thousand rounds."""
ENDPOINT: Final = "endpoint:"
"""A model that is written as `endpoint:NAME`, or `endpoint:NAME/MODEL`, names the endpoint too: every framework can
send that, and no provider's model begins so."""
OURS: Final = frozenset(("stream", "stream_options"))
"""Members of a request that Pavo sets itself: answers come whole, and are streamed to Pavo."""
CHANGED: Final = 409
"""Status of a refused call whose key names another request that has its answer; no server's refusal has it."""
NEVER_MEANT: Final = frozenset(("metadata", "user", "prompt_cache_key", "safety_identifier", "store"))
"""Members that change nothing of an answer: they are sent, and are no part of what names a call."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model."""

    body: Mapping[str, JSON]
    """The request for a chat completion, without what is OURS."""
    endpoint: str | None = None
    """Name of the endpoint that is asked; None: the default one."""
    key: str | None = None
    """What the agent calls it; None: it is known by where it stands."""
    identity: str = ""
    """Names the call within its task and plan: the same in every attempt. Its host gives it."""
    shown: int | None = None
    """The step (0: planning) in which viewers see the answer while it is made; None: they do not."""
    _hash: list[str] = field(default_factory=list[str], init=False, repr=False, compare=False)
    """Once it was asked for: it takes a walk over the whole conversation."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of what is asked, and whom."""
        if not self._hash:
            meant = {name: value for name, value in self.body.items() if name not in NEVER_MEANT}
            self._hash.append(fingerprint([self.endpoint, meant]))
        return self._hash[0]

    def named(self, identity: str) -> "ModelRequest":
        """The same with its identity."""
        found = replace(self, identity=identity)
        found._hash.extend(self._hash)
        return found

    def at(self, place: int | str, number: int) -> str:
        """Its identity: the key, else where it stands.

        Args:
            place: what is under way: `plan`, `report`, or the number of the checkpoint to come.
            number: how many equal calls were made there.
        """
        if self.key is not None:
            return f"key:{self.key}" if str(place).isdecimal() else f"{place}/key:{self.key}"
        return f"{place}/{self.hash}/{number}"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What came of a call: the chat completion, or an error."""

    value: Mapping[str, JSON] | None = None
    error: str | None = None
    remedy: str | None = None
    refused: bool = False
    """Trying again is useless."""
    status: int | None = None
    """Of the model's server, where it was that which failed; 402: a budget does not suffice; or CHANGED."""
    asks: Question | None = None
    """What people are asked before it is made; `error` says why."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of models took that a task has made so far, those of its planning and by its gateway included."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    """Of `tokens_in`."""
    cost: float = 0.0
    """In `currency`, of the calls whose price is known."""
    currency: str = ""
    unpriced: int = 0
    """Calls whose price is not: all of them where the operator names no prices."""
    cost_told: str = ""
    """The cost for people, such as `0.42 USD`."""


def value_of(answer: ModelAnswer) -> Mapping[str, JSON]:
    """The chat completion, as an agent gets it.

    Raises:
        ModelRefused: trying again is useless.
        ModelFailed: there is none.
    """
    if answer.error is None and answer.value is not None:
        return answer.value
    kind = ModelRefused if answer.refused else ModelFailed
    raise kind(answer.error or "There is no answer.", remedy=answer.remedy, status=answer.status)


class Models(Protocol):
    """The models that a task's agent may call."""

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """Ask the model, or answer what was recorded.

        Raises:
            Unavailable: it cannot be recorded.
        """
        ...

    async def spent(self) -> Spent:
        """What all calls of the task took so far.

        Raises:
            Unavailable: it cannot be read.
        """
        ...


class NoModels:
    """For contexts that are made by hand."""

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """Raises: there are none."""
        raise AgentRefused("No model can be called here.", remedy="Give AgentTrial models=….")

    async def spent(self) -> Spent:
        """Nothing."""
        return Spent()


def checked_completion(body: object, endpoint: object, key: object) -> ModelRequest:
    """The call as it will be made.

    Raises:
        AgentRefused: it breaks the contract; the text names the argument.
    """
    for name, value in (("endpoint", endpoint), ("key", key)):
        if value is not None and (not isinstance(value, str) or not KEY.fullmatch(value)):
            remedy = "Use at most 100 letters, digits and _ . : / - in ASCII."
            _refuse(name, f"{str(value)[:100]!r} is no {name}", remedy)
    if not isinstance(body, Mapping):
        _refuse("request", f"{type(body).__name__} where an object belongs", "Give a dict with `messages`.")
    given = {name: value for name, value in cast(Mapping[str, Any], body).items() if name not in OURS}
    try:
        given, size = plain(given)
    except NotStorable as error:
        _refuse("request", str(error), error.remedy)
    if size > MAX_REQUEST_BYTES:
        _refuse("request", f"it has {size:,} bytes", f"Keep it under {MAX_REQUEST_BYTES:,}.")
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        _refuse("request.messages", "a list of messages is missing", 'Give messages=[{"role": "user", "content": …}].')
    model = given.get("model")
    if model is not None and (not isinstance(model, str) or not 0 < len(model) <= 200):
        _refuse("request.model", f"{str(model)[:100]!r} is no name of a model", "Give a text, or leave it out.")
    given, endpoint = _by_model(given, cast("str | None", endpoint))
    return ModelRequest(given, endpoint, cast("str | None", key))


def _by_model(given: Mapping[str, JSON], endpoint: str | None) -> tuple[Mapping[str, JSON], str | None]:
    """The request, and its endpoint, also where its model names that."""
    model: str = given.get("model") or ""
    if not model.startswith(ENDPOINT):
        return given, endpoint
    name, _, own = model.removeprefix(ENDPOINT).partition("/")
    if not KEY.fullmatch(name) or endpoint not in (None, name):
        wrong = f"{model[:100]!r} names no endpoint" if endpoint is None else f"{model[:100]!r} is not at {endpoint!r}"
        _refuse("request.model", wrong, f"Write {ENDPOINT}NAME/MODEL, or give the endpoint alone.")
    rest = {key: value for key, value in given.items() if key != "model"}
    return ({**rest, "model": own} if own else rest), name


def _refuse(argument: str, wrong: str, remedy: str) -> NoReturn:
    raise AgentRefused(f"complete(): {argument}: {wrong}.", field=argument, remedy=remedy)
