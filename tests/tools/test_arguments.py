"""Arguments are checked once, by whatever their author wrote, and that harms nobody."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, field_validator

from pavo.tools.arguments import WrongArguments
from pavo.tools.contract import tool
from pavo.tools.described import Tool, tool_of
from pavo.tools.running import understood

checked: list[str] = []
released = threading.Event()


class Unspeakable(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


def odd(value: str) -> str:
    """Checks in its own way."""
    checked.append(value)
    match value:
        case "key":
            raise KeyError("boom")
        case "exit":
            raise SystemExit(3)
        case "unspeakable":
            raise Unspeakable
        case "nul":
            raise ValueError("a\0b")
        case "hang":
            released.wait(20)
    return value.upper()


class Inner(BaseModel):
    """Checks too."""

    name: str

    @field_validator("name")
    @classmethod
    def _odd(cls, name: str) -> str:
        return odd(name)


@tool(effect="read", seconds=0.3)
def shout(text: Annotated[str, AfterValidator(odd)], times: int = 1) -> str:
    """Say it aloud."""
    return text * times


def nested(inner: list[Inner]) -> str:
    """Say these."""
    return str(inner)


def plain(text: Annotated[str, Field(max_length=3)], more: list[str] = [], at: Path | None = None) -> str:  # noqa: B006
    """Take a path, whose check is Python's."""
    return text


def quick(text: Annotated[str, Field(max_length=3)], more: list[str] = [], other: dict[str, Any] | None = None) -> str:  # noqa: B006
    """Take what pydantic checks itself."""
    return text


def unkind(text: Annotated[str, PlainSerializer(lambda _: 1 / 0)]) -> str:
    """What cannot be told as JSON."""
    return text


@pytest.fixture(autouse=True)
def nothing_hangs() -> Any:
    checked.clear()
    released.clear()
    yield
    released.set()


def named(function: Any) -> Tool:
    return tool_of(function.__name__, function)


async def test_a_check_runs_once_and_gives_both_what_is_called_and_what_is_told() -> None:
    found = await understood(named(shout), {"text": "hello"})
    assert found.arguments == {"text": "HELLO", "times": 1} == found.told and checked == ["hello"]


@pytest.mark.parametrize(
    ("value", "told"),
    [("key", "KeyError: 'boom'"), ("exit", "SystemExit: 3"), ("unspeakable", "Unspeakable"), ("nul", "a�b")],
)
async def test_whatever_a_check_raises_names_the_argument(value: str, told: str) -> None:
    with pytest.raises(WrongArguments) as wrong:
        await understood(named(shout), {"text": value})
    assert str(wrong.value).startswith("args.text: ") and told in str(wrong.value) and "\0" not in str(wrong.value)
    with pytest.raises(WrongArguments) as wrong:
        await understood(named(nested), {"inner": [{"name": "fine"}, {"name": value}]})
    assert str(wrong.value).startswith("args.inner") and told in str(wrong.value)


async def test_a_check_that_hangs_holds_up_nobody_and_ends_with_the_tools_seconds() -> None:
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.create_task(others())
    with pytest.raises(WrongArguments, match=r"args\.text: its own check did not end within 0\.3 s"):
        await understood(named(shout), {"text": "hang"})
    watching.cancel()
    assert checked == ["hang"] and longest < 5, "the loop stood still"


async def test_who_is_checked_by_pydantic_alone_needs_no_thread() -> None:
    assert named(quick).is_quick
    assert not any(named(each).is_quick for each in (shout, nested, plain, unkind))
    with pytest.raises(WrongArguments, match=r"args\.text: String should have at most 3 characters"):
        await understood(named(quick), {"text": "long"})
    with pytest.raises(WrongArguments, match=r"args\.text"):
        await understood(named(plain), {"text": "long"})


async def test_what_cannot_be_told_is_told_as_it_was_given() -> None:
    found = await understood(named(unkind), {"text": "a"})
    assert found.arguments == {"text": "a"} == found.told


def test_the_schema_stays_what_it_was() -> None:
    properties = named(shout).schema["properties"]
    assert properties["text"]["type"] == "string" and properties["times"]["default"] == 1
    assert named(shout).schema["required"] == ["text"]
