"""Each template gives a right flow whose cases are as expected, whatever its parameters are."""

from collections.abc import Callable
from typing import Any

import httpx2
import jsonschema
import pytest

from pavo.errors import InvalidInput, NotFound
from pavo.flows.cases import cases_of, judge
from pavo.flows.definition.definition import Definition
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.templates.catalogue import FILES, Template, filled, template_named, templates

Define = Callable[..., Definition]
NAMES = [
    "data-load",
    "fan-out",
    "nightly-report",
    "release-with-gates",
    "repository-chore",
    "research-review-write",
    "survey-with-approval",
    "triage-with-approval",
]


def given(template: Template) -> dict[str, Any]:
    """What must be given, by the examples."""
    return {name: template.parameters[name]["examples"][0] for name in template.schema["required"]}


def test_there_are_those_that_there_should_be() -> None:
    assert list(templates()) == NAMES
    assert len(list(FILES.iterdir())) == 3 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_cases_are_as_expected(define: Define, evaluator: Evaluator, name: str) -> None:
    template = template_named(name)
    made = filled(template, "mine", given(template))
    definition = define(made.flow)
    assert definition.flow.flow == "mine" and definition.flow.description and "<<" not in made.flow
    cases = cases_of(made.cases, definition).cases
    assert len(cases) >= 3
    for case in cases:
        assert judge(definition, case, evaluator).wrong == [], case.name
    decided = {step for case in cases for step in case.expect.steps} | {s for c in cases for s in c.expect.given}
    assert decided, "cases look at steps"


@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_is_described_used_and_checked(name: str) -> None:
    template = template_named(name)
    jsonschema.Draft202012Validator.check_schema(template.schema)
    for parameter, schema in template.parameters.items():
        assert schema["description"] and ("default" in schema) != ("examples" in schema), parameter
        jsonschema.validate(schema.get("default", (schema.get("examples") or [None])[0]), schema)
        assert f"<<{parameter}>>" in template.flow, parameter
        for wrong in ([], None, "a\nb: ${{", -1):
            with pytest.raises(InvalidInput) as told:
                filled(
                    template, "mine", {**given(template), parameter: wrong if wrong != "a\nb: ${{" else {"x": wrong}}
                )
            assert told.value.field == parameter and told.value.remedy


def test_texts_that_mean_something_to_yaml_stay_texts(define: Define) -> None:
    template = template_named("nightly-report")
    for text in ("a: b", "'x", '"', "# no", "7", "true", "null", "a, b}", "{", "é ü\n- x", "- x", "&a", "*a", "\u2028"):
        definition = define(filled(template, "mine", {**given(template), "readers": text}).flow)
        assert definition.flow.steps["send"].values["to"] == text


def test_all_that_is_wrong_is_told_at_once() -> None:
    template = template_named("repository-chore")
    with pytest.raises(InvalidInput) as told:
        filled(template, "No Name", {"repositry": "x", "program": "a b", "tell": "mail"})
    assert [each["field"] for each in told.value.extra["problems"]] == [
        "name",
        "repositry",
        "program",
        "tell",
        "repository",
    ]
    assert "Did you mean 'repository'?" in told.value.detail and "such as acme/site" in told.value.detail
    with pytest.raises(NotFound, match="no template") as unknown:
        template_named("fanout")
    assert unknown.value.remedy == "Did you mean 'fan-out'?"


async def test_they_are_listed_over_http(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/templates")
    assert answer.status_code == 200, answer.text
    items = {each["name"]: each for each in answer.json()["items"]}
    assert list(items) == NAMES
    chore = items["repository-chore"]
    assert chore["parameters"]["required"] == ["repository", "program", "tell"]
    assert "job: <<repository>>" in chore["flow"] and "expect:" in chore["cases"] and chore["title"]
