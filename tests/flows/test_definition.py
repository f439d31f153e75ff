"""What is told of a wrong flow: all at once, with line and column, and what to do."""

import time
from collections.abc import Callable

import pytest

from pavo.flows.definition.definition import Definition
from pavo.flows.definition.form import json_schema
from pavo.flows.definition.names import NothingKnown
from pavo.flows.definition.reading import MAX_BYTES, read
from tests.flows.test_trial import REFUND

Problems = Callable[..., list[str]]
Define = Callable[..., Definition]


def step(text: str) -> str:
    return f"flow: f\nsteps:\n  a: {{tool: t@1}}\n  b: {text}\n"


def test_all_of_the_form_is_told_at_once(problems: Problems) -> None:
    assert problems(
        """flow: X
stpes: 1
steps:
  a: {tol: x@1}
  B: {tool: x}
  c: {sleep: 1h, retry: {frist: 1s, max: 0}, needs: [1, d]}
  d: {gate: {form: 3}}
  e: {branch: [{go: a}, {when: x, go: 1}]}
  f: {tool: a@1, sleep: 1h}
  g: {needs: a}
  h: {wait_for: {expires: soon}}
"""
    ) == [
        "1:1: flow: 'X' is no name. Use a-z, 0-9, _ and -, a letter first, at most 63 characters.",
        "2:1: stpes: 'stpes' is not known here. Did you mean 'steps'?",
        "4:7: steps.a.tol: 'tol' is not known here. Did you mean 'tool'?",
        "5:7: steps.B.tool: 'x' names no version. Write NAME@MAJOR, such as crm.get@2.",
        "6:26: steps.c.retry.frist: 'frist' is not known here. Did you mean 'first'?",
        "6:37: steps.c.retry.max: 0 is not taken: input should be greater than or equal to 1. Correct it.",
        "6:54: steps.c.needs[0]: 1 is not taken: input should be a text. Correct it.",
        "7:7: steps.d.gate: 'ask' is missing. Give it.",
        "7:14: steps.d.gate.form: 3 is not taken: input should be an object. Correct it.",
        "8:16: steps.e.branch[0]: it has no condition, or two. Give either `when` with an expression or `else`.",
        "8:35: steps.e.branch[1].go: 1 is not taken: input should be a text. Correct it.",
        "9:3: steps.f: it has tool and sleep. Give exactly one of tool, agent, job, flow, gate, sleep, until, branch,"
        " python, http, wait_for.",
        "10:3: steps.g: it says nothing of what it does. Give exactly one of tool, agent, job, flow, gate, sleep,"
        " until, branch, python, http, wait_for.",
        "11:18: steps.h.wait_for.expires: it is no duration. Write it like 30s, 1h30m or 7d.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{needs: [c], tool: t@1}", "4:7: steps.b.needs: there is no step 'c'"),
        ("{needs: [b], tool: t@1}", "circle: b → b"),
        ("{gate: {ask: owners}, retry: {max: 2}}", "no gate is tried again"),
        ("{sleep: 1h, compensate: {tool: u@1}}", "no sleep can be undone"),
        ("{http: {url: 'https://x'}, with: {a: 1}}", "given no values by `with`"),
        ("{tool: t@1, join: any_success}", "no step that it could join"),
        ("{sleep: soon}", "'soon': it is no duration"),
        ("{sleep: 99999999999w}", "longer than a year"),
        ("{until: '2026-01-01'}", "no time with its zone"),
        ("{tool: t@1, output: {type: strin}}", "no JSON Schema"),
        ("{gate: {ask: owners, form: {x: {type: 1}}}}", "gate.form.x: it is no JSON Schema"),
        ("{branch: [{else: true, go: a}]}", "'a' does not need 'b'"),
        ("{branch: [{else: true, go: []}, {when: '${{ true }}', go: []}]}", "never looked at"),
        ("{branch: [{when: '${{ true }}', go: [z]}]}", "there is no step 'z'"),
        ("{branch: [{when: 'true', go: []}]}", "'true' is no expression"),
        ("{tool: t@1, if: 'x ${{ true }}'}", "is no expression"),
        ("{tool: t@1, for_each: {in: '${{ [1] }}', as: steps, max: 1}}", "has a meaning of its own"),
        ("{tool: t@1, with: {x: '${{ 1 + }}'}}", "Syntax error"),
        ("{tool: t@1, with: {x: '${{ }}'}}", "an expression is empty"),
        ("{tool: t@1, with: {x: '${{ 1'}}", "has no }}"),
        ("{tool: t@1, with: {x: '${{ inputs.x }}'}}", "'inputs.x' leads nowhere"),
        ("{tool: t@1, with: {x: '${{ steps.a.output }}'}}", "Give b `needs: [a]`"),
        ("{needs: a, tool: t@1, with: {x: '${{ steps.a.outptu }}'}}", "Did you mean 'output'?"),
        ("{needs: a, tool: t@1, with: {x: '${{ steps.a.items }}'}}", "'steps.a.items' is not known of a step"),
        ("{needs: a, tool: t@1, with: {x: '${{ steps[run.id] }}'}}", "names no step"),
        ("{needs: a, tool: t@1, with: {x: '${{ steps.a.output.map(inputs, 1) }}'}}", "a macro binds 'inputs'"),
        ("{tool: t@1, with: {x: '${{ secrets.key }}'}}", "write {secret: NAME}"),
        ("{tool: t@1, with: {x: {secret: KEY}}}", "does not name a secret 'KEY'"),
        ("{tool: t@1, with: {x: '${{ item }}'}}", "'item' is not known here"),
        ("{tool: t@1, with: {x: '${{ run.idd }}'}}", "Did you mean 'id'?"),
    ],
)
def test_each_mistake_is_told_where_it_is(problems: Problems, text: str, said: str) -> None:
    [told] = problems(step(text))
    assert said in told and told.startswith(("4:", "3:"))


def test_what_steps_name_must_be_there(problems: Problems) -> None:
    known = NothingKnown(tools={"mail.send": [1, 2]}, agents=["intern"], flows={"pay": [3]}, python=[])
    told = problems(
        """flow: f
steps:
  a: {tool: mail.sent@1, compensate: {tool: mail.send@3}}
  b: {agent: interm}
  c: {flow: pay@4}
  d: {python: score}
""",
        known,
    )
    assert [each.split(": ", 1)[1] for each in told] == [
        "steps.a.tool: there is no tool 'mail.sent'. Did you mean 'mail.send'?",
        "steps.a.compensate.tool: there is no 'mail.send@3'. There is mail.send@1, mail.send@2.",
        "steps.b.agent: there is no agent 'interm'. Did you mean 'intern'?",
        "steps.c.flow: there is no 'pay@4'. There is pay@3.",
        "steps.d.python: there is no entry point 'score'. There are none.",
    ]


def test_steps_in_a_circle_are_named(problems: Problems) -> None:
    steps = "\n".join(f"  s{n}: {{tool: t@1, needs: [s{(n + 1) % 3}]}}" for n in range(3))
    assert "circle: s0 → s1 → s2 → s0" in problems(f"flow: f\nsteps:\n{steps}\n")[0]


def test_a_default_must_fit_and_a_result_be_there(problems: Problems) -> None:
    told = problems("flow: f\ninputs: {n: {type: integer, default: x}}\noutput: {}\nsteps: {a: {tool: t@1}}\n")
    assert "inputs.n.default: it does not fit" in told[0] and "gives no result" in told[1]


def test_steps_that_are_workflows_keep_a_flow_from_the_local_engine(define: Define, problems: Problems) -> None:
    assert define(REFUND).only_on_temporal == ["judge"]
    [told] = problems("flow: f\nfallback: local\nsteps: {a: {job: site}}\n")
    assert "step 'a' is a job, which runs on Temporal alone" in told


def test_the_hash_is_of_what_is_said(define: Define) -> None:
    first = define("flow: f\nsteps: {a: {tool: t@1, title: x}}\n")
    same = define('{"$schema": "x", "steps": {"a": {"title": "x", "tool": "t@1"}}, "flow": "f"} # a remark')
    other = define("flow: f\nsteps: {a: {tool: t@2, title: x}}\n")
    assert first.hash == same.hash != other.hash and len(first.hash) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("- 1", "it is no object"),
        ("a: &x 1", "anchors are not taken"),
        ("a: [*x]", "aliases are not taken"),
        ("a: 1\nb: 2\na: 3", "3:1: a: 'a' stands here twice"),
        ("? [1]\n: 2", "a key is a list"),
        ("<<: {a: 1}", "merged keys"),
        ("a: !!python/object/apply:os.system [x]", "tags are not taken"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: .inf", "no number of JSON"),
        ('a: "\\0"', "NUL"),
        ("a: \0", "no YAML"),
        (b"\xff\xfe", "not in UTF-8"),
        ("[" * 200_000, "32 levels"),
        ("a:\n" + "- 1\n" * 200_000, "100,000 values"),
        ("#" * (MAX_BYTES + 1), "1,000,001 bytes"),
        (b"x: " + b"1" * 100_000_000, "bytes"),
        ('{"a": "\\ud800"}', "invalid Unicode"),
        ("a: [", "1:"),
    ],
)
def test_texts_that_are_no_flow_are_refused_at_once(problems: Problems, text: str | bytes, said: str) -> None:
    begun = time.process_time()
    [told] = problems(text)
    assert said in told and time.process_time() - begun < 20


def test_values_are_those_of_json() -> None:
    found = read("{a: [on, yes, 1:30, 2026-11-27, ~, true, 010, 0x1f, 1e3, -5, '1'], b: \"\"}").value
    assert found["a"] == ["on", "yes", "1:30", "2026-11-27", None, True, 10, 31, 1000.0, -5, "1"] and found["b"] == ""
    assert read('{"a": "\\ud83d\\ude00", "b": "\\\\ud83d\\\\ude00", "c": "x\\/y"}').value == {
        "a": "\N{GRINNING FACE}",
        "b": "\\ud83d\\ude00",
        "c": "x/y",
    }


def test_ten_thousand_steps_are_refused_and_a_thousand_taken(define: Define, problems: Problems) -> None:
    def flow(count: int) -> str:
        steps = "\n".join(f"  s{n}: {{tool: t@1, needs: [{f's{n - 1}' if n else ''}]}}" for n in range(count))
        return f"flow: f\nsteps:\n{steps}\n"

    assert len(define(flow(1000)).graph.order) == 1000
    assert "1000" in problems(flow(10_000))[0]


def test_the_published_schema_is_one_that_editors_take(define: Define) -> None:
    import jsonschema

    schema = dict(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(dict(define(REFUND).value), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"flow": "f", "steps": {"a": {"tol": "x"}}}, schema)
