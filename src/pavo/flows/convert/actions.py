"""Files like those of GitHub Actions: jobs with `needs`, `if` and `strategy.matrix`, and their steps.

Each step of a job becomes one of the flow: `run` a call of the entry point `run_script`, `uses: NAME@v4` a call of the
tool `NAME@4`. A job's steps follow one another. What the file takes of its surroundings (`github.sha`, `vars.X`)
becomes an input of the flow. A condition that means nothing to a flow becomes `if: false`: nothing happens that the
file did not say.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from pavo.flows.convert.actions_steps import JobSteps
from pavo.flows.convert.actions_values import Job, Values, as_schema
from pavo.flows.convert.draft import Draft
from pavo.flows.definition.problems import Path, did_you_mean

_TOP: Final = ("name", "run-name", "on", "env", "jobs")
_JOB: Final = ("name", "needs", "if", "env", "strategy", "steps", "uses", "with", "outputs", "runs-on")
_BEGUN: Final = ("workflow_dispatch", "workflow_call")


def convert_actions(draft: Draft) -> None:
    """Fill a draft."""
    top = draft.object_at(draft.document.value, (), "the document")
    draft.unknown(top, (), _TOP)
    _triggers(draft, top.get("on"))
    draft.flow["on_failure"] = {"policy": "continue"}
    env = draft.object_at(top.get("env") or {}, ("env",), "`env`")
    if not top.get("jobs"):
        draft.refuse((), "there are no jobs", "Give `jobs`, by name.")
        return
    jobs = _jobs(draft, draft.object_at(top["jobs"], ("jobs",), "`jobs`"), env)
    values = Values(draft, jobs)
    parts = [JobSteps(draft, values, jobs, each) for each in jobs.values()]
    for each in parts:
        each.name()
    draft.check()
    for each in parts:
        each.convert()
    for each in jobs.values():
        _leave_others(draft, values, each)


def _jobs(draft: Draft, given: Mapping[str, Any], env: Mapping[str, Any]) -> dict[str, Job]:
    jobs: dict[str, Job] = {}
    for name, each in given.items():
        path: Path = ("jobs", name)
        value = draft.object_at(each, path, "a job")
        own = draft.object_at(value.get("env") or {}, (*path, "env"), "`env`")
        jobs[name] = Job(name, path, value, {**env, **own})
    for job in jobs.values():
        needs = dict[str, None]()
        for place, name in draft.names(job.value.get("needs"), (*job.path, "needs"), "a job"):
            if name not in jobs:
                remedy = did_you_mean(name, jobs, "Name a job of this file.")
                draft.refuse(place, f"there is no job {name[:80]!r}", remedy)
            needs[name] = None
        job.needs = list(needs)
    return jobs


def _triggers(draft: Draft, on: Any) -> None:
    events = {on: None} if isinstance(on, str) else dict.fromkeys(cast("list[Any]", on)) if isinstance(on, list) else on
    for name, about in draft.object_at(events or {}, ("on",), "`on`").items():
        path: Path = ("on", name)
        if name not in _BEGUN:
            remedy = "Begin runs by `pavo flow run`, or from what hears of the event."
            draft.leave(path, f"nothing begins the flow on {str(name)[:80]!r}", remedy)
            continue
        members = draft.object_at(about or {}, path, f"`{name}`")
        draft.unknown(members, path, ("inputs",))
        for text, each in draft.object_at(members.get("inputs") or {}, (*path, "inputs"), "`inputs`").items():
            found = draft.need_input(text, as_schema(each))
            draft.origins["inputs", found] = (*path, "inputs", text)
            draft.renamed(text, found, (*path, "inputs", text))


def _leave_others(draft: Draft, values: Values, job: Job) -> None:
    if "runs-on" in job.value:
        told = "`runs-on` is not carried over: steps run where their tools and entry points do"
        values.once("runs-on", (*job.path, "runs-on"), told, "Have these call the machine that is meant.")
    known = {*_JOB}
    if len(job.steps) == 1 and not job.head and "timeout-minutes" in job.value:
        known.add("timeout-minutes")
        given = draft.number(job.value["timeout-minutes"], (*job.path, "timeout-minutes"), 0.001, 527_040) or 1
        draft.steps[job.steps[0]].setdefault("timeout", f"{round(given * 60)}s")
    draft.unknown(job.value, job.path, tuple(known))
