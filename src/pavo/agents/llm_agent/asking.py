"""One question to the model: a text, a message with calls of tools, or an object of a given form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from pavo.agents.calling.completion import CHANGED
from pavo.agents.contract import JSON, AgentContext
from pavo.agents.llm_agent.plans import json_in
from pavo.agents.raised import described
from pavo.errors import AgentRefused, ModelRefused

T = TypeVar("T")
Form = TypeVar("Form", bound=BaseModel)

NOTHING: Final = "(nothing)"
"""In the place of an answer that is empty: servers take none."""
WHOM: Final = ("endpoint", "model", "temperature")
"""Options of a task that say whom is asked, and how."""
MALFORMED: Final = 3
"""So often a model is told what is wrong with its answer."""
WRONG_CHARACTERS: Final = 2_000
"""Of an answer that is none, and of what is wrong with it, in what the model is told."""


class Asking:
    """Asks the model that a task's options name."""

    def __init__(self, ctx: AgentContext) -> None:
        self._ctx = ctx
        options = ctx.options
        self.whom: JSON = {name: options[name] for name in WHOM if options.get(name) is not None}
        """Whom the options name."""
        self._structured = options.get("structured", "json_schema")

    async def complete(
        self,
        messages: Sequence[JSON],
        *,
        tools: Sequence[JSON] = (),
        key: str | None = None,
        former: Sequence[JSON] = (),
        show: bool = True,
        **more: JSON,
    ) -> Mapping[str, Any]:
        """The chat completion.

        Args:
            show: whether viewers see it while it is made.
            former: who were asked before the options were changed: of a key that has an answer it is theirs.
        """
        request: dict[str, JSON] = {"messages": list(messages), **more}
        if tools:
            request["tools"] = list(tools)
        left = [whom for whom in former if whom != self.whom]
        whom = self.whom
        while True:
            try:
                common = {name: value for name, value in whom.items() if name != "endpoint"}
                return await self._ctx.complete(
                    {**common, **request}, endpoint=whom.get("endpoint"), key=key, show=show
                )
            except ModelRefused as refused:
                if refused.extra.get("status") != CHANGED or not left:
                    raise
            whom = left.pop()

    async def formed(
        self, system: str, told: str, kind: type[Form], schema: Mapping[str, Any], judge: Callable[[Form], T]
    ) -> T:
        """What `judge` makes of an object of this form; the model is told what is wrong with it, three times at most.

        Raises:
            AgentRefused: it gives none.
        """
        messages: list[JSON] = [{"role": "system", "content": system}, {"role": "user", "content": told}]
        wrong = ""
        for _ in range(1 + MALFORMED):
            found = await self.complete(messages, show=False, **self._form(kind.__name__, schema))
            text = text_of(found)
            try:
                return judge(kind.model_validate(json_in(text)))
            except (ValueError, RecursionError) as error:  # pydantic's too
                wrong = _told(error)
            messages.append({"role": "assistant", "content": text[:WRONG_CHARACTERS] or NOTHING})
            messages.append(
                {"role": "user", "content": f"That cannot be used: {wrong}\nAnswer the whole object again."}
            )
        raise AgentRefused(
            f"The model gave no {kind.__name__} that can be used, after {1 + MALFORMED} tries: {wrong}",
            remedy="Have another model do it: the option model, or PAVO_LLM_MODEL.",
        )

    def _form(self, name: str, schema: Mapping[str, Any]) -> dict[str, JSON]:
        if self._structured == "json_schema":
            return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema)}}}
        return {"response_format": {"type": "json_object"}} if self._structured == "json_object" else {}


def message_of(completion: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of a chat completion."""
    return cast(Mapping[str, Any], completion["choices"][0]["message"])


def text_of(completion: Mapping[str, Any]) -> str:
    """Its text."""
    content = message_of(completion).get("content")
    return clean(content) if isinstance(content, str) else ""


def clean(text: str) -> str:
    """The text as it can be kept."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        lines = [
            f"{'.'.join(map(str, each['loc'])) or 'the object'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)[:10]
        ]
        return "; ".join(lines)[:WRONG_CHARACTERS]
    return described(error)[:WRONG_CHARACTERS]
