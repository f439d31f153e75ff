"""A DSL like that of Temporal's samples: variables, and a statement that is an activity, a sequence or a parallel.

    variables: {arg1: value1}
    root:
      sequence:
        elements:
          - activity: {name: activity1, arguments: [arg1], result: result1}
          - parallel:
              branches:
                - activity: {name: activity2, arguments: [result1], result: result2}

Source: https://github.com/temporalio/samples-python/tree/main/dsl. `sequence` and `parallel` may also be lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pavo.flows.convert.draft import Draft
from pavo.flows.definition.problems import Path

_TOP: Final = ("name", "description", "variables", "root")
_STATEMENTS: Final = ("activity", "sequence", "parallel")
_HELD_BY: Final = {"sequence": "elements", "parallel": "branches"}


@dataclass(slots=True)
class _State:
    """Where the conversion is: what the next statement waits for, and what stands in each variable then."""

    needs: Sequence[str]
    variables: dict[str, str]


def convert_dsl(draft: Draft) -> None:
    """Fill a draft."""
    top = draft.object_at(draft.document.value, (), "the document")
    draft.unknown(top, (), _TOP)
    if isinstance(top.get("description"), str):
        draft.flow["description"] = top["description"]
        draft.origins[("description",)] = ("description",)
    variables: dict[str, str] = {}
    for name, value in draft.object_at(top.get("variables") or {}, ("variables",), "`variables`").items():
        found = draft.need_input(str(name), {"default": value})
        draft.origins["inputs", found] = ("variables", name)
        draft.renamed(str(name), found, ("variables", name))
        variables[str(name)] = f"inputs.{found}"
    if "root" not in top:
        draft.refuse((), "'root' is missing", "Give the statement that the flow consists of.")
        return
    _Statements(draft).convert(top["root"], ("root",), _State((), variables))
    if not draft.steps:
        draft.refuse(("root",), "there is no activity", "Give one: `activity: {name: NAME}`.")
        return
    draft.leave(
        ("root",),
        "how often activities are tried again is not in such a file; in the flow each is tried once",
        "Give steps that may be repeated `retry: {max: 4}`.",
    )
    if any("with" in each for each in draft.steps.values()):
        draft.leave(
            ("root",),
            "arguments are told by their order in such a file, and in the flow by name",
            "Call the functions' parameters as the variables are called, or change the names in `with`.",
        )


class _Statements:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def convert(self, value: Any, path: Path, state: _State) -> None:
        """One statement and all in it; the state goes on behind it."""
        statement = self._draft.object_at(value, path, "a statement")
        kinds = [kind for kind in _STATEMENTS if kind in statement]
        if len(kinds) != 1:
            if isinstance(value, dict):
                wrong = f"it has {' and '.join(kinds)}" if kinds else "it says nothing of what it does"
                self._draft.refuse(path, wrong, f"Give exactly one of {', '.join(_STATEMENTS)}.")
            return
        self._draft.unknown(statement, path, _STATEMENTS)
        kind, place = kinds[0], (*path, kinds[0])
        if kind == "activity":
            self._activity(self._draft.object_at(statement[kind], place, "an activity"), place, state)
        elif kind == "sequence":
            for where, each in self._held(statement[kind], place, kind):
                self.convert(each, where, state)
        else:
            self._parallel(self._held(statement[kind], place, kind), state)

    def _held(self, value: Any, path: Path, kind: str) -> list[tuple[Path, Any]]:
        name = _HELD_BY[kind]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            self._draft.unknown(members, path, (name,))
            value, path = members.get(name), (*path, name)
        found = self._draft.list_at(value, path, f"`{kind}`")
        return [((*path, index), each) for index, each in enumerate(found)]

    def _parallel(self, branches: Sequence[tuple[Path, Any]], state: _State) -> None:
        before, ends, after = dict(state.variables), dict[str, None](), dict(state.variables)
        told: dict[str, Path] = {}
        for path, each in branches:
            branch = _State(state.needs, dict(before))
            self.convert(each, path, branch)
            ends |= dict.fromkeys(branch.needs)
            for name, where in branch.variables.items():
                if before.get(name) == where:
                    continue
                if name in told:
                    self._draft.leave(
                        path,
                        f"the variable {name[:80]!r} is set in two branches at once; the later one in the file counts",
                        "Give the two results names of their own.",
                    )
                told[name], after[name] = path, where
        state.needs, state.variables = list(ends) or state.needs, after

    def _activity(self, activity: Mapping[str, Any], path: Path, state: _State) -> None:
        self._draft.unknown(activity, path, ("name", "arguments", "result"))
        name = activity.get("name")
        if not isinstance(name, str) or not name:
            self._draft.refuse(path, "an activity has no name", "Give `name`, the activity that it calls.")
            return
        step = self._draft.step_name(name, path)
        found: dict[str, Any] = {"needs": list(state.needs)} if state.needs else {}
        found["python"] = self._draft.function(name)
        values = self._arguments(activity, path, state)
        if values:
            found["with"] = values
        self._draft.steps[step] = found
        state.needs = [step]
        result = activity.get("result")
        if result is None or result == "":
            return
        if isinstance(result, str):
            state.variables[result] = f"steps.{step}.output"
        else:
            self._draft.refuse((*path, "result"), "a result is no name", "Give the variable's name.")

    def _arguments(self, activity: Mapping[str, Any], path: Path, state: _State) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, name in self._draft.names(activity.get("arguments"), (*path, "arguments"), "an argument"):
            if name in found:
                self._draft.leave(place, f"{name[:80]!r} is given twice; the flow gives it once", "Call it otherwise.")
            if name in state.variables:
                found[name] = f"${{{{ {state.variables[name]} }}}}"
            else:
                told = f"no variable {name[:80]!r} is set here; an empty text is given, as the sample does"
                self._draft.leave(place, told, "Set it before, or write the value into `with`.")
                found[name] = ""
        return found
