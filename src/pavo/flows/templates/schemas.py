"""The wire of templates."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pavo.flows.templates.catalogue import Template


class TemplateOut(BaseModel):
    """A pattern of a flow, with parameters."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    title: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of an object that holds them: a form."""
    flow: str
    """Its text, YAML; `<<NAME>>` stands for a parameter, `<<flow>>` for the flow's own name."""
    cases: str
    """Its tests, in the same form."""


class TemplateList(BaseModel):
    """The templates that there are."""

    items: list[TemplateOut]


def template_out(found: Template) -> TemplateOut:
    """As it is shown."""
    return TemplateOut(
        name=found.name,
        title=found.title,
        description=found.description,
        parameters=dict(found.schema),
        flow=found.flow,
        cases=found.cases,
    )
