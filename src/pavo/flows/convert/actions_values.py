"""What values and expressions of a file like those of GitHub Actions mean in the flow that is made of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pavo.flows.convert.actions_expressions import NotCarried, Term, cel_of, path_of, status_functions_in
from pavo.flows.convert.draft import Draft, behind, literal, pieces, quoted
from pavo.flows.definition.problems import Path

_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_SECRET: Final = re.compile(r"\s*secrets\.([A-Za-z][A-Za-z0-9_]{0,99})\s*")
_SURROUNDINGS: Final = frozenset(("github", "vars", "runner", "strategy", "job"))
NOTHING: Final = "0s"
"""A step that only stands for a place sleeps so long."""
_MAX_NESTED: Final = 8
"""Expressions that stand for others, such as outputs of jobs."""
_MAX_LOOKED_UP: Final = 200
"""Paths in one expression and those that it stands for."""


@dataclass(slots=True)
class Job:
    """One of the file's."""

    name: str
    path: Path
    value: Mapping[str, Any]
    env: Mapping[str, Any]
    """Its own and the file's."""
    needs: Sequence[str] = ()
    steps: list[str] = field(default_factory=list[str])
    """Of the flow, in their order."""
    excused: set[str] = field(default_factory=set[str])
    """Those whose failure is not the job's."""
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """Steps of the flow by what the file's expressions call them."""
    head: str | None = None
    """A step that stands for the job's beginning; only of a job whose steps have conditions."""
    tail: str | None = None
    has_items: bool = False
    """Whether its steps are done for each combination of its matrix."""

    @property
    def first(self) -> str:
        """The step that begins it."""
        return self.head or self.steps[0]

    @property
    def last(self) -> str:
        """The step that succeeds when the job does."""
        return self.tail or self.steps[-1]

    @property
    def results(self) -> Sequence[str]:
        """Steps whose statuses say what became of it, the first and the last one at their places."""
        inner = [each for each in self.steps if each not in self.excused]
        return [*([self.head] if self.head else []), *inner, *([self.tail] if self.tail else [])]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands."""

    job: Job
    before: int
    """How many of the job's steps are over by then."""
    env: Mapping[str, Any]
    knows_item: bool = False


class Values:
    """Of one file.

    Args:
        jobs: by their names in the file.
    """

    def __init__(self, draft: Draft, jobs: Mapping[str, Job]) -> None:
        self._draft, self._jobs = draft, jobs
        self._told = set[str]()
        self._begin: str | None = None
        self._looked_up = 0
        self._path: Path = ()
        """Of what is translated."""

    def once(self, what: str, path: Path, message: str, remedy: str) -> None:
        """Leave something that is said once of a file."""
        if what not in self._told:
            self._told.add(what)
            self._draft.leave(path, message, remedy)

    def begin(self) -> str:
        """A step that always succeeds: what needs it as well is looked at though all other needs are skipped."""
        if self._begin is None:
            self._begin = self._draft.step_name("begin", ())
            self._draft.steps[self._begin] = {"sleep": NOTHING}
        return self._begin

    def filled(self, value: Any, path: Path, scope: Scope) -> Any:
        """A value, with its expressions translated."""
        if isinstance(value, str):
            return self._text(value, path, scope)
        if isinstance(value, list):
            return [self.filled(each, (*path, at), scope) for at, each in enumerate(cast("list[Any]", value))]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {str(name): self.filled(each, (*path, name), scope) for name, each in members.items()}
        return value

    def condition(self, source: str, path: Path, scope: Scope, functions: Mapping[str, str]) -> str:
        """The CEL of an `if`.

        Args:
            functions: what success(), failure() and the like mean here.

        Raises:
            NotCarried: it means nothing to a flow.
        """
        return self._translated(source, path, scope, functions)

    def _translated(self, source: str, path: Path, scope: Scope, functions: Mapping[str, str]) -> str:
        self._looked_up, self._path = 0, path
        return self._cel(source, scope, functions, 0)

    def _text(self, text: str, path: Path, scope: Scope) -> Any:
        whole = _EXPRESSION.fullmatch(text.strip())
        if whole is not None and (secret := _SECRET.fullmatch(whole[1])) is not None:
            return self._secret(secret[1])
        return "".join(self._parts(text, path, scope))

    def _secret(self, name: str) -> Mapping[str, str]:
        secrets = self._draft.flow.setdefault("secrets", [])
        if name not in secrets:
            secrets.append(name)
        return {"secret": name}

    def _parts(self, text: str, path: Path, scope: Scope) -> Iterator[str]:
        for before, source in pieces(text, "${{"):
            if source is None:
                yield literal(before)
                return
            try:
                yield behind(before, self._translated(source, path, scope, {}))
            except NotCarried as error:
                kept = f"${{{{{source}}}}}"
                remedy = "Write what is meant there: the characters themselves stand in the flow."
                self._draft.leave(path, f"{kept[:120]!r} is not carried over: {error}", remedy)
                yield literal(before + kept)

    def _cel(self, source: str, scope: Scope, functions: Mapping[str, str], nested: int) -> str:
        if nested > _MAX_NESTED:
            raise NotCarried("it stands for too many other expressions")
        if not functions and status_functions_in(source):
            raise NotCarried("always(), failure() and the like mean something in `if` alone")
        return cel_of(source, lambda path: self._meant(path, scope, nested), lambda name: functions[name])

    def _meant(self, path: Sequence[str], scope: Scope, nested: int) -> Term:
        self._looked_up += 1
        if self._looked_up > _MAX_LOOKED_UP:
            raise NotCarried("it stands for too many other expressions")
        root, rest = path[0], path[1:]
        if tuple(path[:3]) == ("github", "event", "inputs") and len(path) > 3:
            root, rest = "inputs", path[3:]
        match root, len(rest):
            case "inputs", length if length:
                name = self._draft.need_input(rest[0], {"type": "string"})
                return path_of(f"inputs.{name}", rest[1:])
            case "matrix", length if length and scope.knows_item:
                return path_of("matrix", rest)
            case "needs", length if length > 1:
                return self._of_job(rest, scope, nested)
            case "steps", length if length > 1:
                return self._of_step(rest, scope)
            case "env", 1:
                return self._of_environment(rest[0], scope, nested)
            case _:
                return self._of_surroundings(path)

    def _of_surroundings(self, path: Sequence[str]) -> Term:
        if path[0] == "secrets":
            raise NotCarried("secrets are unknown to expressions; a value that is a secret alone is carried over")
        if path[0] not in _SURROUNDINGS or len(path) < 2:
            raise NotCarried(f"{'.'.join(path)[:80]} means nothing here")
        name = self._draft.need_input("_".join(path), {"type": "string"})
        told = f"{'.'.join(path)[:80]} is the input {name!r} of the flow"
        self.once(name, self._path, told, "Give it to each run, or give it a `default`.")
        return Term(f"inputs.{name}")

    def _of_job(self, rest: Sequence[str], scope: Scope, nested: int) -> Term:
        job = self._jobs.get(rest[0])
        if job is None or rest[0] not in scope.job.needs:
            raise NotCarried(f"the job does not need {rest[0][:80]!r}")
        if list(rest[1:]) == ["result"]:
            return Term(f"steps.{job.last}.status", results=job.results)
        given = job.value.get("outputs")
        source = cast("dict[str, Any]", given).get(rest[-1]) if isinstance(given, dict) else None
        found = _EXPRESSION.fullmatch(source.strip()) if isinstance(source, str) else None
        if rest[1] != "outputs" or len(rest) != 3 or found is None:
            raise NotCarried(f"needs.{'.'.join(rest)[:80]} is no output that is one expression alone")
        return Term(self._cel(found[1], Scope(job, len(job.steps), job.env), {}, nested + 1), is_simple=False)

    def _of_step(self, rest: Sequence[str], scope: Scope) -> Term:
        step = scope.job.ids.get(rest[0])
        if step is None or scope.job.steps.index(step) >= scope.before:
            raise NotCarried(f"no step {rest[0][:80]!r} of the job is over by then")
        if rest[1] in ("outcome", "conclusion") and len(rest) == 2:
            return Term(f"steps.{step}.status", results=(step,))
        if rest[1] != "outputs" or len(rest) < 3:
            raise NotCarried(f"steps.{'.'.join(rest)[:80]} means nothing here")
        return path_of(f"steps.{step}.output", rest[2:])

    def _of_environment(self, name: str, scope: Scope, nested: int) -> Term:
        if name not in scope.env:
            raise NotCarried(f"env.{name[:80]} is not set in the file")
        value = scope.env[name]
        if not isinstance(value, str):
            return Term("null" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
        found = _EXPRESSION.fullmatch(value.strip())
        if found is not None:
            return Term(self._cel(found[1], scope, {}, nested + 1), is_simple=False)
        if "${{" in value:
            raise NotCarried(f"env.{name[:80]} is made of several parts")
        return Term(quoted(value), value)


def as_schema(value: Any) -> dict[str, Any]:
    """The JSON Schema of an input of `workflow_dispatch`."""
    if not isinstance(value, dict):
        return {"type": "string"}
    members = cast("dict[str, Any]", value)
    kind = {"boolean": "boolean", "number": "number"}.get(str(members.get("type")), "string")
    found: dict[str, Any] = {"type": kind}
    if isinstance(members.get("description"), str):
        found["description"] = members["description"]
    if isinstance(members.get("options"), list):
        found["enum"] = members["options"]
    if members.get("default") is not None:
        found["default"] = members["default"] if kind != "string" else str(members["default"])
    elif members.get("required") is not True and "enum" not in found:
        found["default"] = {"boolean": False, "number": 0}.get(kind, "")
    return found
