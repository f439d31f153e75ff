"""A simple engine's flow: a name, and steps with `action`, `params`, `depends_on` and `retry`.

    {"name": "refund",
     "steps": {"fetch": {"action": "fetch_order", "params": {"id": "{{ inputs.order }}"}, "retry": 3},
               "pay": {"action": "pay", "params": {"sum": "{{ fetch.sum }}"}, "depends_on": ["fetch"]}}}

`steps` is an object by name, or a list of objects with a `name` or an `id`. `retry` is a number of further tries, or
`{max_attempts, delay, backoff}`: tries in all, seconds before the second one, and by what that grows. `timeout` is in
seconds. Texts in `params` may hold `{{ STEP.path }}`, `{{ steps.STEP.output.path }}` and `{{ inputs.name }}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pavo.flows.convert.draft import ALL_FAILURES, Draft, behind, duration, identifier, literal, member, pieces
from pavo.flows.definition.problems import Path, did_you_mean

_TOP: Final = ("name", "description", "inputs", "steps")
_STEP: Final = ("action", "params", "depends_on", "retry", "timeout", "name", "id", "title", "description")
_CONDITIONS: Final = ("condition", "when", "if", "skip_if", "unless")
_UNDOING: Final = ("compensate", "rollback", "undo", "on_failure", "on_error")
_PATH: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[[0-9]+\])*")
_PART: Final = re.compile(r"[A-Za-z_][\w-]*|\[[0-9]+\]")
_OTHER_REFERENCE: Final = re.compile(r"\$\{|\{%|\$[A-Za-z_]|\}\}|\{\{")
_MOST_SECONDS: Final = 366 * 86_400.0


def convert_simple(draft: Draft) -> None:
    """Fill a draft."""
    top = draft.object_at(draft.document.value, (), "the document")
    draft.unknown(top, (), _TOP)
    description = top.get("description")
    if isinstance(description, str):
        draft.flow["description"] = description
        draft.origins[("description",)] = ("description",)
    for name, given in draft.object_at(top.get("inputs") or {}, ("inputs",), "`inputs`").items():
        _declare(draft, str(name), given)
    named = {text: (path, value) for path, text, value in _steps(draft, top)}
    names = {text: draft.step_name(text, path) for text, (path, _) in named.items()}
    for text, (path, value) in named.items():
        draft.renamed(text, names[text], path)
        draft.steps[names[text]] = _Step(draft, names, path, value).converted()


def _declare(draft: Draft, name: str, given: Any) -> None:
    """An input: its JSON Schema, or its default."""
    found = draft.need_input(name, _schema_of(given))
    draft.origins["inputs", found] = ("inputs", name)
    draft.renamed(name, found, ("inputs", name))


def _schema_of(given: Any) -> Mapping[str, Any]:
    if isinstance(given, dict) and isinstance(cast("dict[str, Any]", given).get("type"), str):
        return cast("dict[str, Any]", given)
    return {} if given is None else {"default": given}


def _steps(draft: Draft, top: Mapping[str, Any]) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    if "steps" not in top:
        draft.refuse((), "'steps' is missing", "Give the steps, by name.")
    given = top.get("steps", {})
    if not isinstance(given, list):
        for name, value in draft.object_at(given, ("steps",), "`steps`").items():
            yield ("steps", name), str(name), draft.object_at(value, ("steps", name), "a step")
        return
    seen = set[str]()
    for index, each in enumerate(cast("list[Any]", given)):
        path: Path = ("steps", index)
        value = draft.object_at(each, path, "a step")
        name = value.get("id", value.get("name"))
        if not isinstance(name, str) or not name:
            draft.refuse(path, "a step has no name", "Give it a `name`.")
        elif name in seen:
            draft.refuse(path, f"there are two steps {name[:80]!r}", "Call one of them otherwise.")
        else:
            seen.add(name)
            yield path, name, value


class _Step:
    """One of the document's."""

    def __init__(self, draft: Draft, names: Mapping[str, str], path: Path, value: Mapping[str, Any]) -> None:
        self._draft, self._names, self._path, self._value = draft, names, path, value

    def converted(self) -> dict[str, Any]:
        draft, value, path = self._draft, self._value, self._path
        found: dict[str, Any] = {}
        title = value.get("title", value.get("description"))
        if isinstance(title, str) and 0 < len(title) <= 200:
            found["title"] = title
        if needs := self._needs():
            found["needs"] = needs
        if any(name in value for name in _CONDITIONS):
            found["if"] = False
        found["python"] = self._action()
        params = draft.object_at(value.get("params") or {}, (*path, "params"), "`params`")
        if params:
            found["with"] = {str(name): self._filled(each, (*path, "params", name)) for name, each in params.items()}
        if (retry := self._retry()) is not None:
            found["retry"] = retry
        if "timeout" in value:
            seconds = draft.number(value["timeout"], (*path, "timeout"), 0.001, _MOST_SECONDS)
            found["timeout"] = duration(seconds or 1)
        self._leave_others()
        return found

    def _needs(self) -> list[str]:
        found: dict[str, None] = {}
        for place, name in self._draft.names(self._value.get("depends_on"), (*self._path, "depends_on"), "a step"):
            if name in self._names:
                found[self._names[name]] = None
            else:
                remedy = did_you_mean(name, self._names, "Name a step of this document.")
                self._draft.refuse(place, f"there is no step {name[:80]!r}", remedy)
        return list(found)

    def _action(self) -> str:
        action, path = self._value.get("action"), (*self._path, "action")
        if not isinstance(action, str) or not action:
            self._draft.refuse(path, "it says no action", "Give `action: NAME`, the function that it calls.")
            return "missing"
        return self._draft.function(action)

    def _retry(self) -> dict[str, Any] | None:
        given, path = self._value.get("retry"), (*self._path, "retry")
        if given is None or given is False:
            return None
        if not isinstance(given, dict):
            further = self._draft.number(given, path, 0, 99)
            return {"max": int(further or 0) + 1, "factor": 1, "only": ALL_FAILURES}
        members = cast("dict[str, Any]", given)
        self._draft.unknown(members, path, ("max_attempts", "delay", "backoff"))
        tries = self._draft.number(members.get("max_attempts", 4), (*path, "max_attempts"), 1, 100)
        found: dict[str, Any] = {"max": int(tries or 1), "factor": 1, "only": ALL_FAILURES}
        if "delay" in members:
            found["first"] = duration(self._draft.number(members["delay"], (*path, "delay"), 0, 86_400) or 0)
        if "backoff" in members:
            found["factor"] = self._draft.number(members["backoff"], (*path, "backoff"), 1, 10)
        return found

    def _filled(self, value: Any, path: Path) -> Any:
        if isinstance(value, list):
            return [self._filled(each, (*path, index)) for index, each in enumerate(cast("list[Any]", value))]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {str(name): self._filled(each, (*path, name)) for name, each in members.items()}
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: Path) -> str:
        found, kept = "", ""
        for before, source in pieces(text, "{{"):
            kept += before
            reference = None if source is None else self._reference(source.strip())
            if reference is not None:  # ${{ … }} means the same
                found += behind(kept.removesuffix("$"), reference)
                self._tell_kept(kept.removesuffix("$"), path)
                kept = ""
            elif source is not None:
                kept += f"{{{{{source}}}}}"
        self._tell_kept(kept, path)
        return found + literal(kept)

    def _tell_kept(self, text: str, path: Path) -> None:
        if _OTHER_REFERENCE.search(text):
            told = f"{text[:80]!r} is kept as it is: if it stands for another value, that is not put in"
            self._draft.leave(path, told, "Write ${{ steps.NAME.output }} or ${{ inputs.NAME }} where it does.")

    def _reference(self, text: str) -> str | None:
        if not _PATH.fullmatch(text):
            return None
        root, *rest = _PART.findall(text)
        if root == "inputs" and rest and rest[0][0] != "[":
            return _followed(f"inputs.{self._draft.need_input(rest[0], {})}", rest[1:])
        if root == "steps" and rest:
            root, *rest = rest
            rest = rest[1:] if rest and rest[0] in ("output", "result") else rest
        return _followed(f"steps.{self._names[root]}.output", rest) if root in self._names else None

    def _leave_others(self) -> None:
        for name in self._value:
            place = (*self._path, name)
            if name in _CONDITIONS:
                told = f"its condition `{name}` is not carried over, so the step does not happen"
                self._draft.leave(place, told, "Write it in the place of `if: false`, as ${{ … }}.")
            elif name in _UNDOING:
                told = f"`{name}` is not carried over"
                self._draft.leave(place, told, "Write `compensate: {tool: NAME@MAJOR}`, or a step that joins all_done.")
        known = (*_STEP, *_CONDITIONS, *_UNDOING)
        self._draft.unknown(self._value, self._path, known)


def _followed(path: str, parts: list[str]) -> str:
    for each in parts:
        path = f"{path}{each}" if each[0] == "[" else member(path, each)
    return path


def flow_name(text: Any, otherwise: str) -> str:
    """A flow's name, like the document's."""
    return identifier(text if isinstance(text, str) and text else otherwise, 63)
