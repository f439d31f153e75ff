"""Writing a flow's definition in Python. It is the definition of a file, and is read and checked as that is."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

from pavo.errors import InvalidInput
from pavo.flows.building.parts import (
    Condition,
    Duration,
    Expression,
    ForEach,
    Needs,
    Retries,
    Step,
    Undo,
    Way,
    given,
    plainly,
)
from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.definition.definition import Compile, Definition, definition_of
from pavo.flows.expressions.evaluating import Evaluator
from pavo.kit.json_values import NotStorable, plain

_OWN: dict[str, str] = {"condition": "if", "values": "with"}


class Options(TypedDict, total=False):
    """What any step may have; what is left out is not written."""

    title: str
    needs: Needs
    """Steps, or their ids."""
    join: Literal["all_success", "any_success", "all_done"]
    condition: Condition
    """`if`."""
    for_each: ForEach
    values: Mapping[str, Any]
    """`with`: expressions may stand anywhere in them."""
    retry: Retries
    timeout: Duration
    output: Mapping[str, Any]
    """JSON Schema."""
    compensate: Undo


class Flow:
    """A definition as it grows.

    Args:
        name: the flow's.
        limits, on_failure: as a file has them, such as `{"compensate": True}`.
        fallback: see the guide.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str | None = None,
        limits: Mapping[str, Any] | None = None,
        on_failure: Mapping[str, Any] | None = None,
        fallback: Literal["none", "local"] | None = None,
    ) -> None:
        about = {"description": description, "limits": limits, "on_failure": on_failure, "fallback": fallback}
        self._name, self._token = name, object()
        self._flow: dict[str, Any] = {"flow": name, **self._kept("the flow", given(about))}
        self._inputs: dict[str, Any] = {}
        self._secrets: list[str] = []
        self._steps: dict[str, Any] = {}

    # What it is given and gives

    def input(self, name: str, schema: Mapping[str, Any]) -> Expression:
        """Declare an input by its JSON Schema; how expressions refer to it.

        Raises:
            InvalidInput: there is one of this name, or the schema is not JSON.
        """
        if name in self._inputs:
            remedy = "Declare it once."
            raise InvalidInput(f"There is already an input {name!r:.100}.", field=f"inputs.{name}"[:200], remedy=remedy)
        self._inputs[name] = self._kept(f"inputs.{name}", schema)
        return Expression(f"inputs.{name}")

    def secret(self, name: str) -> Mapping[str, str]:
        """Name a secret of the organisation's; how values refer to it."""
        if name not in self._secrets:
            self._secrets.append(name)
        return {"secret": name}

    def result(self, value: Any, output: Mapping[str, Any] | None = None) -> None:
        """Say what a run gives, and of which JSON Schema that is."""
        self._flow["result"] = self._kept("result", value)
        if output is not None:
            self._flow["output"] = self._kept("output", output)

    # Steps

    def tool(self, id: str, tool: str, **options: Unpack[Options]) -> Step:
        """A step that calls a tool, `NAME@MAJOR`."""
        return self._step(id, "tool", tool, options)

    def agent(self, id: str, agent: str, **options: Unpack[Options]) -> Step:
        """A step that is a task for this agent."""
        return self._step(id, "agent", agent, options)

    def job(self, id: str, repository: str, **options: Unpack[Options]) -> Step:
        """A step that is a coding job in this repository."""
        return self._step(id, "job", repository, options)

    def child(self, id: str, flow: str, **options: Unpack[Options]) -> Step:
        """A step that is a child flow, `NAME@MAJOR`."""
        return self._step(id, "flow", flow, options)

    def python(self, id: str, entry_point: str, **options: Unpack[Options]) -> Step:
        """A step that calls an entry point of the group `pavo.flow_steps`."""
        return self._step(id, "python", entry_point, options)

    def sleep(self, id: str, length: Duration | Expression, **options: Unpack[Options]) -> Step:
        """A step that waits so long."""
        return self._step(id, "sleep", length, options)

    def until(self, id: str, time: str | Expression, **options: Unpack[Options]) -> Step:
        """A step that waits until then, such as `2027-01-31T08:00:00+01:00`."""
        return self._step(id, "until", time, options)

    def branch(self, id: str, ways: Sequence[Way], **options: Unpack[Options]) -> Step:
        """A step that takes the first way whose condition holds. Steps that follow may be named by their ids."""
        return self._step(id, "branch", list(ways), options)

    def gate(
        self,
        id: str,
        ask: str,
        *,
        question: str | Expression | None = None,
        form: Mapping[str, Mapping[str, Any]] | None = None,
        expires: Duration | None = None,
        on_expiry: Literal["fail", "skip"] | None = None,
        escalate: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Step:
        """A step that asks people.

        Args:
            form: members of the answer, each with its JSON Schema.
            escalate: `{"after": "1d", "ask": "owners"}`.
        """
        asked = {"ask": ask, "question": question, "form": form, "expires": expires, "on_expiry": on_expiry}
        return self._step(id, "gate", given({**asked, "escalate": escalate}), options)

    def http(
        self,
        id: str,
        url: str | Expression,
        *,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        **options: Unpack[Options],
    ) -> Step:
        """A step that sends a request."""
        return self._step(id, "http", given({"method": method, "url": url, "headers": headers, "body": body}), options)

    def wait_for(
        self,
        id: str,
        *,
        signal: str | None = None,
        webhook: str | None = None,
        key: str | Expression | None = None,
        expires: Duration | None = None,
        **options: Unpack[Options],
    ) -> Step:
        """A step that waits to be told, by a signal or a webhook."""
        told = {"signal": signal, "webhook": webhook, "key": key, "expires": expires}
        return self._step(id, "wait_for", given(told), options)

    # What it yields

    @property
    def value(self) -> Mapping[str, Any]:
        """As a file has it, as plain values."""
        inputs = {"inputs": self._inputs} if self._inputs else {}
        secrets = {"secrets": self._secrets} if self._secrets else {}
        return self._kept("the flow", {**self._flow, **inputs, **secrets, "steps": self._steps})

    @property
    def yaml(self) -> str:
        """The file."""
        return yaml_of(self.value)

    def definition(self, compile: Compile | None = None) -> Definition:
        """The definition, checked. Lines and columns of what is wrong are those of `yaml`.

        Args:
            compile: see `Evaluator.wrong`. Default: that of a process of its own, for this once; it blocks.

        Raises:
            WrongDefinition: it is none; all that is wrong is told.
        """
        if compile is not None:
            return definition_of(self.yaml, compile)
        evaluator = Evaluator()
        try:
            return definition_of(self.yaml, evaluator.wrong)
        finally:
            evaluator.close()

    def _step(self, id: str, kind: str, value: Any, options: Options) -> Step:
        where = f"steps.{id}"[:200]
        if id in self._steps:
            remedy = "Give each step an id of its own."
            raise InvalidInput(f"{where}: there is already a step {id!r:.100}.", field=where, remedy=remedy)
        unknown = [name for name in options if name not in Options.__annotations__]
        if unknown:
            remedy = f"It takes {', '.join(Options.__annotations__)}."
            raise InvalidInput(f"{where}: a {kind} takes no {unknown[0]!r:.100}.", field=where, remedy=remedy)
        members = {kind: value, **{_OWN.get(name, name): each for name, each in options.items()}}
        self._check_own(where, members)
        self._steps[id] = self._kept(where, members)
        return Step(self._name, id, self._token)

    def _check_own(self, where: str, members: Mapping[str, Any]) -> None:
        """Steps that are named are this flow's."""
        ways: Sequence[Way] = members.get("branch", ())
        named: list[Needs] = [members.get("needs", ()), *(way.go for way in ways)]
        for each in (one for some in named for one in ((some,) if isinstance(some, Step) else some)):
            if isinstance(each, Step) and each.token is not self._token:
                remedy = "Name a step of this flow; another one's results come by a child flow."
                raise InvalidInput(f"{where}: {each.id!r} is a step of {each.flow}.", field=where, remedy=remedy)

    def _kept(self, where: str, value: Any) -> Any:
        try:
            return plain(plainly(value))[0]
        except NotStorable as error:
            raise InvalidInput(f"{where}: {error}.", field=where, remedy=error.remedy) from error
        except ValueError as error:
            raise InvalidInput(f"{where}: {error}.", field=where, remedy="Correct it.") from error
