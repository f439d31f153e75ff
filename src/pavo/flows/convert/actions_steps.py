"""The steps of one job of a file like those of GitHub Actions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pavo.flows.convert.actions_expressions import NotCarried, status_functions_in
from pavo.flows.convert.actions_values import NOTHING, Job, Scope, Values
from pavo.flows.convert.draft import Draft, duration, identifier
from pavo.flows.convert.matrix import combinations_of
from pavo.flows.definition.problems import Path

RUN: Final = "run_script"
"""The entry point that `run` becomes."""
_USES: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99})@v?(?P<major>[1-9][0-9]{0,5})(?:\.[0-9.]+)?")
_NAMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}(?=@)")
_STEP: Final = ("id", "name", "if", "run", "uses", "with", "env", "shell", "working-directory", "timeout-minutes")
_CAREFUL: Final = ("if", "continue-on-error")
_CALLED: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]+)\.ya?ml(?:@.*)?")
MOST_MINUTES: Final = 366 * 1_440


@dataclass(frozen=True, slots=True)
class _Written:
    """A step of the file."""

    path: Path
    value: Mapping[str, Any]


class JobSteps:
    """Of one job."""

    def __init__(self, draft: Draft, values: Values, jobs: Mapping[str, Job], job: Job) -> None:
        self._draft, self._values, self._jobs, self._job = draft, values, jobs, job
        self._written: list[_Written] = []

    def name(self) -> None:
        """Give the job's steps their ids: other jobs may refer to them."""
        draft, job = self._draft, self._job
        if "uses" in job.value:
            self._written = [_Written(job.path, job.value)]
            job.steps = [draft.step_name(job.name, job.path)]
            return
        path = (*job.path, "steps")
        given = draft.list_at(job.value.get("steps"), path, "`steps`")
        places = [(*path, index) for index in range(len(given))]
        steps = [draft.object_at(each, place, "a step") for place, each in zip(places, given, strict=True)]
        self._written = [_Written(place, each) for place, each in zip(places, steps, strict=True)]
        if not self._written:
            draft.refuse(job.path, "the job has no steps", "Give it `steps`, or `uses`.")
        careful = any(name in each.value for each in self._written for name in _CAREFUL)
        if careful:
            job.head = draft.step_name(job.name, job.path)
        for each in self._written:
            alone = len(self._written) == 1 and not careful
            found = draft.step_name(job.name if alone else f"{job.name}_{_like(each.value)}", each.path)
            job.steps.append(found)
            if isinstance(each.value.get("id"), str):
                job.ids[each.value["id"]] = found
            if each.value.get("continue-on-error") is True:
                job.excused.add(found)
        if careful:
            job.tail = draft.step_name(f"{job.name}_done", job.path)

    def convert(self) -> None:
        """Write them into the flow."""
        draft, job = self._draft, self._job
        items = self._items()
        for index, each in enumerate(self._written):
            known = {} if index or job.head else self._beginning()
            step = {**known, **self._order(index, each)}
            if items is not None:
                step["for_each"] = items
            step |= self._call(each, index)
            if "timeout-minutes" in each.value:
                step["timeout"] = self._minutes(each.value["timeout-minutes"], (*each.path, "timeout-minutes"))
            draft.steps[job.steps[index]] = step
        if job.head and job.tail:
            draft.steps[job.head] = {**self._beginning(), "sleep": NOTHING}
            ends = [job.head, *job.steps]
            is_right = f"steps.{job.head}.status == 'succeeded'{self._all_right(len(job.steps))}"
            draft.steps[job.tail] = {
                "needs": ends, "join": "all_done", "if": f"${{{{ {is_right} }}}}", "sleep": NOTHING
            }  # fmt: skip

    def _beginning(self) -> dict[str, Any]:
        """`needs`, `join` and `if` of the job."""
        job, found = self._job, dict[str, Any]()
        needed = [self._jobs[name] for name in job.needs if name in self._jobs]
        if needed:
            found["needs"] = [each.last for each in needed]
        scope = Scope(job, 0, job.env)
        right = " && ".join(f"steps.{each.last}.status == 'succeeded'" for each in needed) or "true"
        meant = {"success": right, "failure": _any_failed(self._earlier()), "always": "true", "cancelled": "false"}
        source, condition = self._condition((*job.path, "if"), job.value, scope, meant)
        if condition is not None:
            found["if"] = condition
        if needed and status_functions_in(source):
            found["join"] = "all_done"
            found["needs"].append(self._values.begin())
        return found

    def _earlier(self) -> list[str]:
        """Steps of all jobs that this one needs, what they need, and so on."""
        waiting, seen, found = list(self._job.needs), set[str](), list[str]()
        while waiting:
            name = waiting.pop(0)
            if name not in seen and name in self._jobs:
                seen.add(name)
                job = self._jobs[name]
                found += [each for each in job.steps if each not in job.excused]
                waiting += job.needs
        return found

    def _order(self, index: int, each: _Written) -> dict[str, Any]:
        """`needs`, `join` and `if` of a step within its job."""
        job = self._job
        if job.head is None:
            return {} if index == 0 else {"needs": [job.steps[index - 1]]}
        failed = _any_failed([one for one in job.steps[:index] if one not in job.excused])
        right = "true" if failed == "false" else f"!({failed})"
        meant = {"success": right, "failure": failed, "always": "true", "cancelled": "false"}
        scope = Scope(job, index, {**job.env, **self._environment(each)})
        source, condition = self._condition((*each.path, "if"), each.value, scope, meant)
        found: dict[str, Any] = {"needs": [job.head]}
        if index:
            found = {"needs": [job.head, *job.steps[:index]], "join": "all_done"}
        if condition is False:
            return {**found, "if": False}
        own = "" if condition is None else f" && ({condition[3:-2].strip()})"
        implied = "" if status_functions_in(source) else self._all_right(index)
        if index or own:
            found["if"] = f"${{{{ steps.{job.head}.status == 'succeeded'{implied}{own} }}}}"
        return found

    def _all_right(self, index: int) -> str:
        job = self._job
        failed = _any_failed([one for one in job.steps[:index] if one not in job.excused])
        return "" if failed == "false" else f" && !({failed})"

    def _condition(
        self, path: Path, value: Mapping[str, Any], scope: Scope, meant: Mapping[str, str]
    ) -> tuple[str, str | Literal[False] | None]:
        """The source of an `if`, and what it becomes; None: there is none, or it always holds."""
        given = value.get("if", True)
        if given is True or given is None:
            return "", None
        source = str(given).strip()
        whole = re.fullmatch(r"\$\{\{(.*)\}\}", source, re.DOTALL)
        source = whole[1].strip() if whole is not None else source
        if given is False:
            return source, False
        if "cancelled" in status_functions_in(source):
            told = "what is to be done once a run is cancelled is not carried over: nothing begins then"
            self._draft.leave(path, told, "Give steps `compensate` for what has to be undone.")
        try:
            found = self._values.condition(source, path, scope, meant)
            return source, None if found == "true" else f"${{{{ {found} }}}}"
        except NotCarried as error:
            told = f"the condition {source[:120]!r} is not carried over, so the step does not happen: {error}"
            self._draft.leave(path, told, "Write it in the place of `if: false`, as ${{ … }}.")
            return source, False

    def _items(self) -> dict[str, Any] | None:
        """`for_each` of a job with a matrix."""
        draft, job = self._draft, self._job
        path = (*job.path, "strategy")
        strategy = draft.object_at(job.value.get("strategy") or {}, path, "`strategy`")
        draft.unknown(strategy, path, ("matrix", "fail-fast", "max-parallel"))
        if "matrix" not in strategy:
            return None
        if not isinstance(strategy["matrix"], dict) or any(
            isinstance(each, str) for each in cast("dict[str, Any]", strategy["matrix"]).values()
        ):
            told = "a matrix that an expression gives is not carried over: the job is done once"
            draft.leave((*path, "matrix"), told, "Give the step `for_each: {in: ${{ … }}, as: matrix, max: …}`.")
            return None
        found = combinations_of(draft, cast("dict[str, Any]", strategy["matrix"]), (*path, "matrix"))
        name = draft.need_input(f"{job.name}_matrix", {"type": "array", "default": found})
        job.has_items = True
        return {"in": f"${{{{ inputs.{name} }}}}", "as": "matrix", **self._manner(strategy, path, max(len(found), 1))}

    def _manner(self, strategy: Mapping[str, Any], path: Path, count: int) -> dict[str, Any]:
        parallel = min(count, 64)
        if "max-parallel" in strategy:
            given = self._draft.number(strategy["max-parallel"], (*path, "max-parallel"), 1, 10_000)
            parallel = min(int(given or 1), parallel)
        found: dict[str, Any] = {"max": count, "parallel": parallel}
        if len(self._job.steps) > 1:
            told = "each step is done for all combinations before the next one begins"
            self._draft.leave((*path, "matrix"), told, "Make the job's steps a child flow, and do that for each.")
        if strategy.get("fail-fast") is False:
            found["on_item_failure"] = "collect"
            told = "with `fail-fast: false` the step succeeds though some of its items fail"
            remedy = f"Look at steps.{self._job.steps[-1]}.items where that matters."
            self._draft.leave((*path, "fail-fast"), told, remedy)
        return found

    def _environment(self, each: _Written) -> Mapping[str, Any]:
        if each.value is self._job.value:
            return {}
        return self._draft.object_at(each.value.get("env") or {}, (*each.path, "env"), "`env`")

    def _call(self, each: _Written, index: int) -> dict[str, Any]:
        """What a step does."""
        draft, job, value = self._draft, self._job, each.value
        env = {**job.env, **self._environment(each)}
        scope = Scope(job, index, env, knows_item=job.has_items)
        found: dict[str, Any] = {}
        name = value.get("name")
        if isinstance(name, str) and 0 < len(name) <= 200 and "${{" not in name:
            found["title"] = name
        given = self._values.filled(
            dict(draft.object_at(value.get("with") or {}, (*each.path, "with"), "`with`")), (*each.path, "with"), scope
        )
        if each.value is not job.value:
            draft.unknown(value, each.path, (*_STEP, "continue-on-error"))
        match value.get("uses"), value.get("run"):
            case str() as uses, None:
                found |= self._uses(uses, each, given)
                if self._environment(each):
                    told = "`env` of a step that uses an action is not carried over"
                    draft.leave((*each.path, "env"), told, "Give the tool what it needs in `with`.")
            case None, str() as run:
                found |= self._run(run, each, scope)
            case _:
                draft.refuse(each.path, "it has neither `run` nor `uses`, or both", "Give one of them, a text.")
        return found

    def _run(self, run: str, each: _Written, scope: Scope) -> dict[str, Any]:
        values: dict[str, Any] = {"script": self._values.filled(run, (*each.path, "run"), scope)}
        for name in ("shell", "working-directory"):
            if name in each.value:
                values[name.replace("-", "_")] = self._values.filled(each.value[name], (*each.path, name), scope)
        if scope.env:
            values["env"] = self._values.filled(dict(scope.env), (*each.path, "env"), scope)
        self._draft.functions.setdefault(RUN, "run")
        told = "`run` calls the entry point run_script; files that a step leaves behind are not there for the next one"
        remedy = "Have it run scripts where they may run, and give `{NAME: value}` of their outputs."
        self._values.once(RUN, (*each.path, "run"), told, remedy)
        return {"python": RUN, "with": values}

    def _uses(self, uses: str, each: _Written, values: Mapping[str, Any]) -> dict[str, Any]:
        filled = {"with": dict(values)} if values else {}
        path = (*each.path, "uses")
        called = _CALLED.fullmatch(uses.rpartition("/")[2]) if each.value is self._job.value else None
        if called is not None:
            flow = f"{identifier(called['name'], 60)}@1"
            remedy = "Convert that file too, and keep it under this name."
            self._values.once(uses, path, f"the workflow {uses[:100]!r} is the flow {flow}", remedy)
            return {"flow": flow, **filled}
        if (found := _USES.fullmatch(uses)) is not None:
            tool = f"{found['name']}@{found['major']}"
        elif (named := _NAMED.match(uses)) is not None:
            tool = f"{named[0]}@1"
        else:
            name = self._draft.function(uses)
            self._values.once(uses, path, f"{uses[:100]!r} calls the entry point {name}", "Provide a function for it.")
            return {"python": name, **filled}
        told = f"actions are not run: {uses[:100]!r} calls a tool {tool}"
        self._values.once(uses, path, told, "Provide such a tool, name another one, or take the step out.")
        return {"tool": tool, **filled}

    def _minutes(self, value: Any, path: Path) -> str:
        return duration((self._draft.number(value, path, 0.001, MOST_MINUTES) or 1) * 60)


def _like(value: Mapping[str, Any]) -> str:
    """What a step may be called."""
    for name in ("id", "name"):
        if isinstance(value.get(name), str) and "${{" not in value[name] and identifier(value[name], 30) != "step":
            return identifier(value[name], 30)
    uses = value.get("uses")
    return identifier(uses.partition("@")[0].rpartition("/")[2], 30) if isinstance(uses, str) else "run"


def _any_failed(steps: Sequence[str]) -> str:
    return " || ".join(f"steps.{each}.status == 'failed'" for each in steps) or "false"
