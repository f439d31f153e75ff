"""The state of an orchestrator between two attempts: in its checkpoint, as JSON or as a signed pickle."""

import base64
import binascii
import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from pavo.agents.contract import JSON, AgentContext
from pavo.agents.raised import described
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, decode, encode, plain

_PROTOCOL: Final = 5
"""Of pickles: every Python that Pavo runs on reads it."""
_SAFE: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Pickled:
    """A state as a pickle, which is not loaded yet, or was just made."""

    data: bytes
    of: str
    """The class whose state it is, as `module:Class`."""

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of both."""
        return hashlib.sha256(self.of.encode() + b"\0" + self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an orchestrator has come, as its checkpoint says."""

    yielded: int = 0
    """How many items."""
    state: JSON | Pickled = None
    ended: bool = False
    """Its generator has ended."""
    result: JSON = None

    async def checkpoint(self, ctx: AgentContext) -> dict[str, JSON]:
        """As it is recorded.

        Raises:
            AgentRefused: it is a pickle, and there is no key to sign it with.
        """
        kept: dict[str, JSON] = {"yielded": self.yielded}
        if isinstance(self.state, Pickled):
            kept["pickle"] = base64.b64encode(self.state.data).decode()
            kept["of"], kept["signature"] = self.state.of, await ctx.signatures.sign(self.state.digest)
        else:
            kept["state"] = self.state
        return {**kept, "ended": True, "result": self.result} if self.ended else kept


async def reached(checkpoint: JSON, ctx: AgentContext, of: str, *, pickles: bool) -> Reached:
    """What a checkpoint says; a pickle is not loaded, but looked at: who signed it, and for what.

    Args:
        of: the class whose state is wanted.
        pickles: whether it takes pickles.

    Raises:
        AgentRefused: it is no checkpoint of such an orchestrator, or its pickle is not one of this deployment's, of
            this task, agent and class.
    """
    if not isinstance(checkpoint, dict):
        _refuse("The checkpoint is not one of an orchestrator's", "Start a new task.")
    kept = cast(dict[str, Any], checkpoint)
    yielded = kept.get("yielded")
    if type(yielded) is not int or ("state" in kept) == ("pickle" in kept):
        _refuse("The checkpoint is not one of an orchestrator's", "Start a new task.")
    state = await _trusted(kept, ctx, of, pickles=pickles) if "pickle" in kept else kept["state"]
    return Reached(yielded, state, kept.get("ended") is True, kept.get("result"))


async def _trusted(kept: Mapping[str, Any], ctx: AgentContext, of: str, *, pickles: bool) -> Pickled:
    if not pickles:
        _refuse("The state is a pickle, and this agent takes JSON alone", "Say state = 'pickle' again, or begin anew.")
    if kept.get("of") != of:
        _refuse(f"The state is a pickle of {str(kept.get('of'))[:200]!r}, not of {of}", "Start a new task.")
    try:
        data = base64.b64decode(kept["pickle"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        _refuse("The state is no pickle", "Start a new task.")
    signature = kept.get("signature")
    found = Pickled(data, of)
    if not isinstance(signature, str) or not signature:
        _refuse("The state is a pickle that nobody has signed, and was not loaded", _FOREIGN)
    if not await ctx.signatures.check(found.digest, signature):
        _refuse(
            "The state is a pickle that this deployment has not signed for this task and agent, and was not loaded",
            _FOREIGN,
        )
    return found


_FOREIGN: Final = (
    "Where PAVO_SECRET_KEY was changed since, give the workers the former one and resume; "
    "otherwise find out who wrote the checkpoint, and start a new task."
)


def pickled(state: Any, of: str) -> Pickled:
    """A state as a pickle.

    Raises:
        AgentRefused: it cannot be one.
    """
    try:
        return Pickled(pickle.dumps(state, _PROTOCOL), of)
    except Exception as error:
        raise AgentRefused(
            f"The state of {of} cannot be pickled: {described(error)}.",
            remedy="Leave out what belongs to the process, in export_state or __getstate__.",
        ) from error


def loaded(state: Pickled) -> Any:
    """What a pickle holds, whose signature was checked. Runs code of the classes in it.

    Raises:
        AgentRefused: it cannot be loaded, such as for want of a class.
    """
    try:
        return pickle.loads(state.data)
    except Exception as error:
        raise AgentRefused(
            f"The pickled state of {state.of} cannot be loaded: {described(error)}.",
            remedy="Install code that has what it names, and resume.",
        ) from error


def plain_state(state: Any) -> JSON:
    """A state as JSON, as it is at this moment: what the object changes later is not in it.

    Raises:
        AgentRefused: it is no JSON.
    """
    try:
        return decode(encode(plain(state)[0]))
    except NotStorable as error:
        _refuse(f"The state is no JSON: {error}", error.remedy)


def attributes_of(orchestrator: Any) -> Any:
    """The state of an object: what its own `__getstate__` says, else all of its attributes.

    Raises:
        AgentRefused: it has none.
    """
    getter = getattr(cast(type[Any], type(orchestrator)), "__getstate__", None)
    if getter is not None and getter is not getattr(object, "__getstate__", None):
        return orchestrator.__getstate__()
    try:
        return dict(cast(dict[str, Any], vars(orchestrator)))
    except TypeError:
        _refuse(f"{type(orchestrator).__name__} has no attributes to keep", "Write export_state and restore_state.")


def set_attributes(orchestrator: Any, state: Any) -> None:
    """The way back: by its own `__setstate__`, else attribute by attribute.

    Raises:
        AgentRefused: these are no attributes.
    """
    setter = getattr(orchestrator, "__setstate__", None)
    if setter is not None:
        setter(state)
        return
    if not isinstance(state, dict):
        _refuse("The state holds no attributes", "Write export_state and restore_state, or start a new task.")
    vars(orchestrator).update(cast(dict[str, Any], state))


def unchanged_by_json(state: Any) -> JSON:
    """Attributes as JSON, which come back as they were.

    Raises:
        AgentRefused: one of them does not; the text names it.
    """
    if not isinstance(state, dict):
        return state
    for name, value in cast(dict[Any, Any], state).items():
        try:
            plain(value)
        except NotStorable as error:
            _refuse(f"The attribute {name} is no JSON: {error}", _OTHERWISE)
        if not _is_exact(value):
            _refuse(f"The attribute {name} holds what JSON would give back as something else", _OTHERWISE)
    return cast(dict[str, Any], state)


_OTHERWISE: Final = "Write export_state and restore_state, or say state = 'pickle'."


def _is_exact(value: Any) -> bool:
    """Whether there are neither tuples nor subclasses in it; `plain` refuses what is no JSON at all."""
    if type(value) is list:
        return all(map(_is_exact, cast(list[Any], value)))
    if type(value) is dict:
        return all(map(_is_exact, cast(dict[Any, Any], value).values()))
    return type(value) in _SAFE or not isinstance(value, (*_SAFE, tuple, list, dict))


def _refuse(detail: str, remedy: str) -> NoReturn:
    raise AgentRefused(f"{detail}.", remedy=remedy)
