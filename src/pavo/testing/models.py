"""The models that an agent asks in a trial: a script that the test gives, and a journal in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from pavo.agents.calling.completion import CHANGED, ModelAnswer, ModelRequest, Spent
from pavo.errors import ModelFailed, ModelRefused

Scripted: TypeAlias = "str | Mapping[str, Any] | ModelFailed | ModelRefused"
"""A text; a message (`content`, `tool_calls`); a whole chat completion; or what is raised."""
Script: TypeAlias = Sequence[Scripted] | Callable[[Mapping[str, Any]], Scripted]


class TriedModels:
    """See `agents.calling.completion.Models`. As the journal does, it asks for nothing again whose answer it has.

    Args:
        script: answers in the order in which they are asked for, or a function of the request.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._asked = 0
        self._answers: dict[str, tuple[str, ModelAnswer]] = {}

    def forget(self) -> None:
        """Another life begins: nothing was asked."""
        self._asked = 0
        self._answers.clear()

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """What came of it."""
        known = self._answers.get(request.identity)
        if known is None:
            answer = self._next(request)
            if answer.error is not None:
                return answer
            known = self._answers[request.identity] = (request.hash, answer)
        if known[0] != request.hash:
            return ModelAnswer(error=f"The key {request.key!r} names another call.", refused=True, status=CHANGED)
        return known[1]

    async def spent(self) -> Spent:
        """What the answers say that they took; a trial knows no prices."""
        given = [self._usage(answer) for _, answer in self._answers.values()]
        tokens_in, tokens_out = (sum(tokens) for tokens in zip((0, 0), *given, strict=True))
        return Spent(len(given), tokens_in, tokens_out, unpriced=len(given))

    @staticmethod
    def _usage(answer: ModelAnswer) -> tuple[int, int]:
        given: Any = (answer.value or {}).get("usage")
        usage = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else dict[str, Any]()
        found = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        tokens_in, tokens_out = (each if type(each) is int and each >= 0 else 0 for each in found)
        return tokens_in, tokens_out

    def _next(self, request: ModelRequest) -> ModelAnswer:
        if callable(self._script):
            return _answer(self._script(request.body))
        if self._asked >= len(self._script):
            told = f"The trial has {len(self._script)} answers of models, and one more is asked for."
            return ModelAnswer(error=told, remedy="Give it models=[answer, …], or a function.", refused=True)
        self._asked += 1
        return _answer(self._script[self._asked - 1])


def _answer(scripted: Scripted) -> ModelAnswer:
    if isinstance(scripted, ModelFailed | ModelRefused):
        refused = isinstance(scripted, ModelRefused)
        return ModelAnswer(None, scripted.detail, scripted.remedy, refused, scripted.extra.get("status"))
    if isinstance(scripted, Mapping) and "choices" in scripted:
        return ModelAnswer(scripted)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    message |= {"content": scripted} if isinstance(scripted, str) else cast(dict[str, Any], scripted)
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    completion = {"object": "chat.completion", "model": "scripted", "choices": [choice], "usage": usage}
    return ModelAnswer(completion)
