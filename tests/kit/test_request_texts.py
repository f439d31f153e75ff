"""No request brings text that PostgreSQL cannot store: each of its fields refuses it by its name."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pavo.accounts import schemas as accounts
from pavo.accounts.organisations import schemas as organisations
from pavo.gates import schemas as gates
from pavo.inbox import schemas as inbox
from pavo.llm.named import schemas as endpoints
from pavo.tasks import schemas as tasks
from pavo.tools.policies import schemas as policies
from pavo.usage import schemas as usage
from pavo.webhooks import schemas as webhooks

SLICES = (accounts, organisations, gates, inbox, endpoints, tasks, policies, usage, webhooks)
CHECKED_LATER = {("Wanted", "cursor"), ("GatesWanted", "cursor"), ("InboxWanted", "cursor")}
"""A cursor is taken apart, and refused as one."""
BAD = ("a\0b", "a\ud800b")


def forms() -> Iterator[type[BaseModel]]:
    """What requests are read as: models that refuse what they do not know."""
    for module in SLICES:
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, BaseModel) and each.model_config.get("extra") == "forbid":
                yield each


def takes_any_text(field: FieldInfo) -> bool:
    """An object, such as an agent's options, is checked as a whole elsewhere."""
    if field.annotation is str:
        return True
    kinds = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    return any(kind is str or (get_origin(kind) is Annotated and get_args(kind)[0] is str) for kind in kinds)


FIELDS = [
    (form, name)
    for form in dict.fromkeys(forms())
    for name, field in form.model_fields.items()
    if takes_any_text(field) and (form.__name__, name) not in CHECKED_LATER
]


def test_there_are_such_fields() -> None:
    names = {(form.__name__, name) for form, name in FIELDS}
    assert {("GateAnswerIn", "note"), ("GateAnswerIn", "hash"), ("PolicyCreate", "note")} <= names
    assert {("WebhookCreate", "description"), ("TokenCreate", "name"), ("TaskCreate", "title")} <= names


@pytest.mark.parametrize(("form", "name"), FIELDS, ids=lambda each: getattr(each, "__name__", each))
def test_a_text_that_cannot_be_stored_is_refused(form: type[BaseModel], name: str) -> None:
    for bad in BAD:
        given: dict[str, Any] = {name: bad}
        with pytest.raises(ValidationError) as refused:
            TypeAdapter(form).validate_python(given)
        told = {error["loc"]: error["msg"] for error in refused.value.errors() if error["loc"][:1] == (name,)}
        assert any("NUL" in each or "nicode" in each for each in told.values()), (told, refused.value.errors())
