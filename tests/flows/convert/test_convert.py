"""What other engines take as flows: what it becomes, what is told of the rest, and what is refused."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pavo.errors import InvalidInput
from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.convert.converting import Converted, convert
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.problems import WrongDefinition
from pavo.flows.definition.reading import read
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.trial import Fake, Trial, Tried
from pavo.kit.json_values import fingerprint

Convert = Callable[..., tuple[Converted, Definition]]


@pytest.fixture
def made(evaluator: Evaluator) -> Convert:
    """What a document becomes, as it was written and as it is read."""

    def run(data: str | Mapping[str, Any], form: Any) -> tuple[Converted, Definition]:
        found = convert(data, form, evaluator.wrong)
        definition = definition_of(found.flow, evaluator.wrong)
        assert definition.hash == found.hash
        return found, definition

    return run


@pytest.fixture
def refused(evaluator: Evaluator) -> Callable[..., list[str]]:
    def run(data: str, form: Any) -> list[str]:
        with pytest.raises(WrongDefinition) as wrong:
            convert(data, form, evaluator.wrong)
        assert all(each.remedy for each in wrong.value.problems)
        return [each.told for each in wrong.value.problems]

    return run


def steps_of(definition: Definition) -> Mapping[str, Any]:
    return definition.value["steps"]


def left_of(found: Converted) -> list[str]:
    assert all(each.remedy for each in found.left)
    return [each.told for each in found.left]


# A simple engine's


def test_what_a_simple_engine_means_is_carried_over(made: Convert) -> None:
    found, definition = made(
        """{"name": "Refund Flow", "description": "Gives back", "inputs": {"limit": 100, "order": {"type": "string"}},
 "steps": [
  {"name": "fetch-order", "action": "shop.fetch", "params": {"id": "Order {{ inputs.order }}"}, "retry": 2},
  {"id": "pay", "action": "pay", "depends_on": "fetch-order", "timeout": 2.5,
   "retry": {"max_attempts": 5, "delay": 0.5, "backoff": 2},
   "params": {"sum": "{{fetch-order.orders[0].sum}}", "to": ["${{ steps.fetch-order.result.to }}", 7, null]}}]}""",
        "simple",
    )
    assert definition.flow.flow == "refund_flow" and definition.flow.description == "Gives back"
    assert definition.flow.inputs == {"limit": {"default": 100}, "order": {"type": "string"}}
    every = ["transient", "timeout", "error"]
    assert steps_of(definition) == {
        "fetch_order": {
            "python": "shop_fetch",
            "with": {"id": "Order ${{ inputs.order }}"},
            "retry": {"max": 3, "factor": 1, "only": every},
        },
        "pay": {
            "needs": ["fetch_order"],
            "python": "pay",
            "with": {
                "sum": "${{ steps.fetch_order.output.orders[0].sum }}",
                "to": ["${{ steps.fetch_order.output.to }}", 7, None],
            },
            "retry": {"max": 5, "factor": 2, "only": every, "first": "500ms"},
            "timeout": "2500ms",
        },
    }
    assert found.functions == {"shop_fetch": "shop.fetch", "pay": "pay"}
    assert left_of(found) == [
        "3:3: steps[0]: 'fetch-order' is called 'fetch_order' in the flow. Use that name where you speak of it."
    ]


def test_what_is_not_carried_over_is_told_and_does_not_happen(made: Convert) -> None:
    found, definition = made(
        """name: a
version: 3
steps:
  a: {action: x, when: "y > 1", on_error: b, colour: red, params: {p: "a {{ b }} $HOME", q: "${{x}} $${{a.b"}}
""",
        "simple",
    )
    step = definition.flow.steps["a"]
    assert step.condition is False
    told = left_of(found)
    assert [each.split(": ")[1] for each in told] == [
        "version",
        "steps.a.when",
        "steps.a.on_error",
        "steps.a.colour",
        "steps.a.params.p",
        "steps.a.params.q",
    ]
    assert "does not happen" in told[1]


def test_texts_mean_the_characters_that_they_had(made: Convert, evaluator: Evaluator) -> None:
    texts = ["${{ 1 }}", "$${{ x }}", "{{ nowhere }}", "${{ ", "}}", "$", "a$", "é\n- x: 'y'", "1e3", "on", "~", "0o7"]
    _, definition = made({"steps": {"a": {"action": "x", "params": {"t": texts}}}}, "simple")
    assert _given(definition, evaluator)["a"]["with"]["t"] == texts
    _, definition = made(
        {
            "steps": {
                "a": {"action": "x"},
                "b": {"action": "y", "depends_on": "a", "params": {"t": "$${{ a.b }} $$ {{a.b}}$"}},
            }
        },
        "simple",
    )
    assert _given(definition, evaluator, a=Fake(output={"b": 7}))["b"]["with"]["t"] == "$7 $$ 7$"


def _given(definition: Definition, evaluator: Evaluator, **fakes: Fake) -> dict[str, Any]:
    return {each.step: each.given for each in Trial(definition, evaluator, fakes).run({}).calls}


def test_names_that_are_alike_stay_apart(made: Convert) -> None:
    found, definition = made(
        {"steps": {"a-b": {"action": "f.g"}, "a_b": {"action": "f_g"}, "a.b": {"action": "f.g"}}}, "simple"
    )
    assert {name: step["python"] for name, step in steps_of(definition).items()} == {
        "a_b": "f_g",
        "a_b_2": "f_g_2",
        "a_b_3": "f_g",
    }
    assert found.functions == {"f_g": "f.g", "f_g_2": "f_g"}


def test_functions_stand_for_their_names(made: Convert) -> None:
    def fetch() -> int:
        return 1

    found, _ = made({"name": "x", "steps": {"a": {"action": fetch, "params": {"n": (1, 2)}}}}, "simple")
    assert found.functions == {"fetch": "fetch"}
    for bad in ({1: 2}, {"a": object()}, {"a": float("nan")}, {"a": "\0"}):
        with pytest.raises(InvalidInput) as told:
            made({"steps": bad}, "simple")
        assert told.value.remedy
    deep: list[Any] = []
    deep.append(deep)
    wide: Any = "x"
    for _ in range(30):
        wide = [wide, wide]
    for endless in (deep, wide):
        with pytest.raises(InvalidInput, match="levels or"):
            made({"steps": endless}, "simple")


def test_all_that_is_wrong_with_a_simple_one_is_told(refused: Callable[..., list[str]]) -> None:
    assert refused(
        """steps:
  a: {params: [1], depends_on: [3, bb]}
  b: {action: 7, retry: -1, timeout: soon}
  c: x
  d: {action: x, retry: {max_attempts: 1000}}
""",
        "simple",
    ) == [
        "2:3: steps.a.action: it says no action. Give `action: NAME`, the function that it calls.",
        "2:7: steps.a.params: `params` is no object. Give its members, such as `name: value`.",
        "2:33: steps.a.depends_on[0]: a step is no name. Give a text.",
        "2:36: steps.a.depends_on[1]: there is no step 'bb'. Did you mean 'b'?",
        "3:7: steps.b.action: it says no action. Give `action: NAME`, the function that it calls.",
        "3:18: steps.b.retry: -1 is no number from 0 to 99. Correct it.",
        "3:29: steps.b.timeout: 'soon' is no number from 0.001 to 3.16224e+07. Correct it.",
        "4:3: steps.c: a step is no object. Give its members, such as `name: value`.",
        "4:3: steps.c.action: it says no action. Give `action: NAME`, the function that it calls.",
        "5:26: steps.d.retry.max_attempts: 1000 is no number from 1 to 100. Correct it.",
    ]


def test_what_no_flow_may_have_is_told_at_its_place_in_the_document(refused: Callable[..., list[str]]) -> None:
    text = "steps:\n  a: {action: x, depends_on: [b]}\n  b: {action: y, depends_on: [a]}\n"
    assert refused(text, "simple") == [
        "2:3: steps.a: steps need each other in a circle: a → b → a. Take one of these needs away; what is to be done"
        " again belongs in a child flow, or in `retry`."
    ]
    text = 'steps:\n  a: {action: x}\n  b: {action: y, params: {n: "{{ a.b }}"}}\n'
    assert refused(text, "simple")[0].startswith("3:3: steps.b: step 'a' need not be over")
    assert refused("steps: {}", "simple") and refused("steps: []", "simple")


# Of every form


@pytest.mark.parametrize("form", ["simple", "dsl", "actions"])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[1]",
            "7",
            "a: [",
            "a: &x 1",
            "a: *x",
            "<<: {}",
            "a: !!x 1",
            "a: 1\na: 2",
            "steps: 1",
            "root: 1",
            "jobs: 1",
        ),
        *("steps: [1]", "steps: [{}]", "steps: {a: {}}", "root: {}", "root: {sequence: 1}", "root: {sequence: []}"),
        *(
            "root: {activity: {}}",
            "root: {activity: x, sequence: []}",
            "root: {parallel: {branches: x}}",
            "jobs: {a: 1}",
        ),
        *(
            "jobs: {a: {}}",
            "jobs: {a: {steps: [{}]}}",
            "jobs: {a: {steps: [{run: 1}]}}",
            "jobs: {a: {needs: b, steps: []}}",
        ),
        *("jobs: {a: {needs: a, steps: [{run: x}]}}", 'jobs: {a: {steps: [{run: "\\0"}]}}', "on: 7\njobs: {}", "\x00"),
        "jobs: {a: {strategy: {matrix: {x: []}}, steps: [{run: x}]}}",
        f"jobs: {{a: {{strategy: {{matrix: {{x: {[*range(20)]}, y: {[*range(20)]}}}}}, steps: [{{run: x}}]}}}}",
    ],
)
def test_wrong_documents_are_refused_with_their_places(refused: Callable[..., list[str]], form: str, text: str) -> None:
    told = refused(text, form)
    assert told and all(each[0].isdigit() for each in told), told


@pytest.mark.parametrize("form", ["simple", "dsl", "actions"])
def test_nothing_makes_it_slow(evaluator: Evaluator, form: Any) -> None:
    many = 2_000
    texts = {
        "simple": json.dumps({"steps": {f"s-{i}": {"action": "x"} for i in range(many)}}),
        "dsl": json.dumps({"root": {"sequence": [{"activity": {"name": "x"}} for _ in range(many)]}}),
        "actions": json.dumps({"jobs": {f"j-{i}": {"steps": [{"run": "x"}]} for i in range(many)}}),
    }
    opened = {
        "simple": json.dumps({"steps": {"a": {"action": "x", "params": {"p": "{{ " * 200_000}}}}),
        "dsl": json.dumps({"root": {"parallel": [{"activity": {"name": "x" * 300_000}}]}}),
        "actions": json.dumps({"jobs": {"a": {"steps": [{"run": "${{ " * 150_000}, {"run": "x", "if": "(" * 1_900}]}}}),
    }
    before = time.process_time()
    with pytest.raises(WrongDefinition, match="more than 1,000 steps"):
        convert(texts[form], form, evaluator.wrong)
    convert(opened[form], form, evaluator.wrong)
    outputs = {f"o{i}": "${{ " + " + ".join(["x"]) + " }}" for i in range(3)}
    jobs: dict[str, Any] = {"j0": {"outputs": outputs, "steps": [{"run": "x"}]}}
    for at in range(1, 9):
        every = " && ".join(f"needs.j{at - 1}.outputs.o{i % 3}" for i in range(60))
        jobs[f"j{at}"] = {
            "needs": f"j{at - 1}",
            "outputs": dict.fromkeys(outputs, f"${{{{ {every} }}}}"),
            "steps": [{"run": "x"}],
        }
    jobs["last"] = {"needs": "j8", "steps": [{"run": "${{ needs.j8.outputs.o1 }}"}]}
    assert "not carried over" in str(convert({"jobs": jobs}, "actions", evaluator.wrong).left)
    assert time.process_time() - before < 60


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=20), below, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=5))
def test_what_is_written_is_what_is_read(value: dict[str, Any]) -> None:
    usable = json.loads(json.dumps(value).replace("\\u0000", ""))
    try:
        json.dumps(usable, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert fingerprint(read(yaml_of(usable)).value) == fingerprint(usable)


# The DSL


def test_a_dsl_becomes_a_graph(made: Convert) -> None:
    found, definition = made(
        """variables: {argA: 1}
root:
  sequence:
    elements:
      - activity: {name: GetUser, arguments: [argA], result: user}
      - parallel:
          branches:
            - sequence: [{activity: {name: one, arguments: [user], result: x}}, {activity: {name: two, arguments: [x]}}]
            - activity: {name: three, result: x}
            - sequence: []
      - activity: {name: GetUser, arguments: [x, gone, x]}
""",
        "dsl",
    )
    assert definition.flow.inputs == {"arg_a": {"default": 1}}
    assert steps_of(definition) == {
        "get_user": {"python": "get_user", "with": {"argA": "${{ inputs.arg_a }}"}},
        "one": {"needs": ["get_user"], "python": "one", "with": {"user": "${{ steps.get_user.output }}"}},
        "two": {"needs": ["one"], "python": "two", "with": {"x": "${{ steps.one.output }}"}},
        "three": {"needs": ["get_user"], "python": "three"},
        "get_user_2": {
            "needs": ["two", "three", "get_user"],
            "python": "get_user",
            "with": {"x": "${{ steps.three.output }}", "gone": ""},
        },
    }
    assert found.functions == {"get_user": "GetUser", "one": "one", "two": "two", "three": "three"}
    told = left_of(found)
    assert [each.split(": ")[0] for each in told] == ["1:13", "2:1", "2:1", "9:15", "11:50", "11:56"]
    assert "set in two branches" in told[3] and "'gone'" in told[4] and "twice" in told[5]


# Like GitHub Actions


def _tried(definition: Definition, evaluator: Evaluator, inputs: Mapping[str, Any], **fakes: Fake) -> Tried:
    return Trial(definition, evaluator, fakes).run(inputs)


def _ran(tried: Tried) -> list[str]:
    return [each.step for each in tried.calls if each.kind != "sleep"]


CI = """name: CI pipeline
on:
  push:
  workflow_dispatch: {inputs: {deploy: {type: boolean}, logLevel: {type: choice, options: [a, b], default: a}}}
env: {TOKEN: "${{ secrets.TOKEN }}", NAME: it''s}
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: {fail-fast: false, max-parallel: 2, matrix: {os: [a, b], py: [1], exclude: [{os: b}], include: [{os: c}]}}
    steps: [{name: Run it, run: "./test ${{ matrix.os }}", timeout-minutes: 5}]
  build:
    needs: test
    outputs: {image: "${{ steps.make.outputs.image }}"}
    steps:
      - {uses: actions/checkout@v4, with: {ref: "${{ github.ref }}"}}
      - {id: make, run: make}
      - {run: clean, if: always()}
      - {run: cry, if: failure()}
      - {run: more}
  deploy:
    needs: build
    if: ${{ inputs.deploy && needs.build.result == 'success' && startsWith(env.NAME, 'it') }}
    uses: ./.github/workflows/deploy.yml
    with: {image: "${{ needs.build.outputs.image }}", level: "${{ github.event.inputs.logLevel }}"}
  tell:
    needs: [build, deploy]
    if: always() && (needs.build.result == 'failure' || needs.deploy.result == 'skipped')
    steps: [{run: tell}]
"""


def test_jobs_do_what_they_do_on_actions(made: Convert, evaluator: Evaluator) -> None:
    _, definition = made(CI, "actions")
    inputs = {"deploy": True, "github_ref": "r"}
    image = Fake(output={"image": "i:1"})
    tried = _tried(definition, evaluator, inputs, build_make=image)
    assert _ran(tried) == ["test", "test", "build_checkout", "build_make", "build_run", "build_run_3", "deploy"]
    given = {each.step: each.given for each in tried.calls}
    assert given["deploy"]["with"] == {"image": "i:1", "level": "a"} and given["build_checkout"]["with"] == {"ref": "r"}
    tested = [each.given["with"]["script"] for each in tried.calls if each.step == "test"]
    assert tested == ["./test a", "./test c"]
    tried = _tried(definition, evaluator, {**inputs, "deploy": False}, build_make=image)
    assert tried.known.steps["deploy"]["status"] == "skipped" and tried.calls[-1].step == "tell"
    tried = _tried(definition, evaluator, inputs, build_make=Fake(error="broken"))
    assert _ran(tried)[2:] == ["build_checkout", "build_make", "build_run", "build_run_2", "tell"]
    assert tried.known.steps["build_done"]["status"] == "skipped" and tried.outcome == "failed"


def test_what_always_runs_also_does_behind_what_was_skipped(made: Convert, evaluator: Evaluator) -> None:
    steps = [{"run": "x"}]
    jobs = {
        "a": {"if": False, "steps": steps},
        "b": {"needs": "a", "steps": steps},
        "c": {"needs": "b", "if": "always()", "steps": steps},
        "d": {"needs": "b", "if": "failure()", "steps": steps},
        "e": {"needs": ["b"], "if": "${{ !cancelled() }}", "steps": [{"run": "x", "if": "always()"}]},
    }
    _, definition = made({"jobs": jobs}, "actions")
    tried = _tried(definition, evaluator, {})
    done = {name for name, each in tried.known.steps.items() if each["status"] == "succeeded"}
    assert done == {"begin", "c", "e", "e_run", "e_done"} and tried.outcome == "succeeded"


def test_what_actions_say_is_written_so(made: Convert) -> None:
    found, definition = made(CI, "actions")
    steps, flow = steps_of(definition), definition.flow
    assert flow.flow == "ci_pipeline" and flow.secrets == ("TOKEN",) and flow.on_failure.policy == "continue"
    assert flow.inputs["deploy"] == {"type": "boolean", "default": False}
    assert flow.inputs["test_matrix"]["default"] == [{"os": "a", "py": 1}, {"os": "c"}]
    assert steps["test"] == {
        "for_each": {
            **{"in": "${{ inputs.test_matrix }}", "as": "matrix", "max": 2, "parallel": 2},
            "on_item_failure": "collect",
        },
        "title": "Run it",
        "python": "run_script",
        "with": {"script": "./test ${{ matrix.os }}", "env": {"TOKEN": {"secret": "TOKEN"}, "NAME": "it''s"}},
        "timeout": "300s",
    }
    assert steps["tell"]["join"] == "all_done" and "join" not in steps["deploy"]
    told = left_of(found)
    for each in ("on.push", "runs-on", "fail-fast", "actions/checkout@4", "run_script", "github_ref", "deploy@1"):
        assert any(each in one for one in told), (each, told)


@pytest.mark.parametrize(
    ("condition", "becomes"),
    [
        ("cancelled()", "${{ false }}"),
        ("always()", None),
        ("hashFiles('x') == 'y'", False),
        ("github.ref == 'refs/heads/main'", "${{ inputs.github_ref == 'refs/heads/main' }}"),
        ("'it''s' == inputs.x", "${{ 'it\\'s' == inputs.x }}"),
        ("!(inputs.a == 1) || -1.5 < inputs['b']", "${{ !(inputs.a == 1) || (-1.5 < inputs.b) }}"),
        ("inputs.a && 'x' || 'y'", False),
        ("secrets.X == 'y'", False),
        ("needs.other.result == 'success'", False),
        ("a b", False),
        ("(inputs.a", False),
        ("inputs.a == ", False),
        ("inputs.a; x", False),
        ("(" * 1_000 + "true" + ")" * 1_000, False),
        ("!" * 2_000, False),
    ],
)
def test_conditions(made: Convert, condition: str, becomes: str | bool | None) -> None:
    found, definition = made({"jobs": {"a": {"if": condition, "steps": [{"run": "x"}]}}}, "actions")
    assert steps_of(definition)["a"].get("if") == becomes
    assert any("does not happen" in each for each in left_of(found)) == (becomes is False)
