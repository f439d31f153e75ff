import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from sample_agents import nested

from pavo.agents.agent_class import load_agent_class
from pavo.agents.options import checked_options
from pavo.agents.registry import GROUP, AgentRegistry
from pavo.errors import InvalidInput, TooLarge

PACKAGE = """
from pavo.agents.contract import Agent
from sample_agents import Sample

class Good(Sample):
    name = "good"
    options_schema = {
        "type": "object", "required": ["path"], "additionalProperties": False,
        "properties": {
            "path": {"type": "string"},
            "deep": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"n": {"type": "integer", "default": 4}},
            },
            "list": {"type": "array", "default": []},
        },
    }
class Abstract(Agent):
    name = "abstract"
class OtherName(Sample):
    name = "another"
class Schema(Sample):
    name = "schema"
    options_schema = {"type": "nonsense"}
class Default(Sample):
    name = "default"
    options_schema = {"type": "object", "properties": {"large": {"default": 2**64}}}
class Recursive(Sample):
    name = "recursive"
    options_schema = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"anyOf": [
            {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/node"}]}}}, {"type": "integer"},
        ]}},
    }
class Endless(Sample):
    name = "endless"
    options_schema = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
class Isolation(Sample):
    name = "isolation"
    isolation = "container"
class Grace(Sample):
    name = "grace"
    stop_grace = -1
class Hasty(Sample):
    name = "hasty"
    isolation = "process"
    quick = True
class Fast(Sample):
    name = "fast"
    quick = "very"
class Nowhere(Sample):
    name = "nowhere"
    options_schema = {"type": "object", "properties": {"path": {"$ref": "#/nowhere"}}}
class Wordless(Sample):
    name = "wordless"
    description = 5
class Circle(Sample):
    name = "circle"
    options_schema = {"type": "object"}
Circle.options_schema["default"] = Circle.options_schema
class Meta(type(Sample)):
    @property
    def stop_grace(cls):
        raise GeneratorExit("in an attribute")
class Hostile(Sample, metaclass=Meta):
    name = "hostile"
"""


def nested_objects(levels: int, value: Any) -> Any:
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentRegistry:
    """A registry that also finds a plug-in package with one good agent and many broken ones."""
    (tmp_path / "plugged.py").write_text(PACKAGE)
    (tmp_path / "exits.py").write_text("import sys; sys.exit(4)")
    (tmp_path / "interrupts.py").write_text("raise KeyboardInterrupt('at import')")
    (tmp_path / "panics.py").write_text("class Panic(BaseException): pass\nraise Panic('at import')")
    points = {
        "good": "plugged:Good",
        "abstract": "plugged:Abstract",
        "renamed": "plugged:OtherName",
        "schema": "plugged:Schema",
        "default": "plugged:Default",
        "recursive": "plugged:Recursive",
        "endless": "plugged:Endless",
        "isolation": "plugged:Isolation",
        "grace": "plugged:Grace",
        "hasty": "plugged:Hasty",
        "fast": "plugged:Fast",
        "missing": "no_such_module:X",
        "exits": "exits:X",
        "interrupts": "interrupts:X",
        "panics": "panics:X",
        "nowhere": "plugged:Nowhere",
        "wordless": "plugged:Wordless",
        "circle": "plugged:Circle",
        "hostile": "plugged:Hostile",
        "dict": "builtins:dict",
    }
    info = tmp_path / "plugged-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 2.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}intern = plugged:Good\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugged", raising=False)
    return AgentRegistry.load()


def test_the_built_in_agents() -> None:
    cards = {card.name: card for card in AgentRegistry.load().cards()}
    assert cards["intern"].isolation == "worker"
    assert cards["tribal_search"].wants_context
    assert cards["intern"].distribution.startswith("pavo-temporal ")
    assert load_agent_class(AgentRegistry.load().card("intern").target).name == "intern"


def test_a_broken_plug_in_harms_no_other(installed: AgentRegistry, caplog: pytest.LogCaptureFixture) -> None:
    # Like the worker: an interrupt at import cannot be a person's outside the main thread.
    with ThreadPoolExecutor(1) as pool:
        broken = {agent.name: agent.error for agent in pool.submit(installed.broken).result()}
    assert {"good", "intern", "tribal_search"} <= {card.name for card in installed.cards()}
    assert broken["interrupts"] == "KeyboardInterrupt: at import"
    assert "lacks execute, plan, report, revise" in broken["abstract"]
    assert "must be 'renamed'" in broken["renamed"]
    assert "no JSON Schema" in broken["schema"]
    assert "'container'" in broken["isolation"]
    assert "stop_grace is -1" in broken["grace"]
    assert "is quick: that takes isolation 'worker'" in broken["hasty"]
    assert "quick is 'very': use True or False" in broken["fast"]
    assert broken["missing"].startswith("ModuleNotFoundError")
    assert broken["exits"] == "SystemExit: 4"
    assert "no subclass" in broken["dict"]
    assert broken["panics"] == "Panic: at import"
    assert broken["hostile"] == "GeneratorExit: in an attribute"
    assert "must be text" in broken["wordless"]
    assert "no JSON: Circular" in broken["circle"]
    assert "'missing' of plugged 2.0 cannot be loaded" in caplog.text
    with pytest.raises(InvalidInput, match="cannot be loaded") as caught:
        installed.card("missing")
    assert caught.value.field == "agent_type"


def test_a_persons_interrupt_is_not_the_agents(installed: AgentRegistry) -> None:
    with pytest.raises(KeyboardInterrupt):
        installed.card("interrupts")


def test_a_schema_that_cannot_be_applied_is_told(installed: AgentRegistry, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidInput, match="cannot be applied") as caught:
        installed.validate_options("nowhere", {"path": "x"})
    assert caught.value.field == "agent_options" and caught.value.remedy
    assert "Traceback" in caplog.text


def test_pavos_own_agents_win_over_others_of_their_name(installed: AgentRegistry) -> None:
    assert installed.card("intern").target == "pavo.agents.intern:InternAgent"


def test_two_packages_that_declare_the_same_name() -> None:
    class Point(EntryPoint):
        pass

    points = [Point("twice", f"json{n}:x", GROUP) for n in range(2)]
    [broken] = AgentRegistry({"twice": points}).broken()
    assert "several packages" in broken.error


def test_nothing_is_imported_before_it_is_asked_for(installed: AgentRegistry) -> None:
    assert "good" in installed.names()
    assert "plugged" not in sys.modules


def test_an_unknown_agent_type() -> None:
    with pytest.raises(InvalidInput) as caught:
        AgentRegistry.load().card("inter")
    assert caught.value.field == "agent_type"
    assert caught.value.remedy == "Did you mean 'intern'? Known agents: command, intern, llm, tribal_search."


def test_defaults_are_filled_in(installed: AgentRegistry) -> None:
    defaults = {"steps": 200, "step_seconds": 0.1, "fail_at": None, "plan_seconds": 0}
    assert installed.validate_options("intern", None) == defaults
    given: dict[str, Any] = {"path": "x", "deep": {}}
    filled = installed.validate_options("good", given)
    assert filled == {"path": "x", "deep": {"n": 4}, "list": []}
    assert given == {"path": "x", "deep": {}}
    assert installed.validate_options("good", given)["list"] is not filled["list"]


@pytest.mark.parametrize(
    ("agent", "options", "field", "says"),
    [
        ("intern", {"steps": 0}, "agent_options.steps", "0 is less than the minimum of 1."),
        ("intern", {"steps": True}, "agent_options.steps", "not of type 'integer'"),
        ("intern", {"step_seconds": "x" * 5000}, "agent_options.step_seconds", "…"),
        ("intern", {"stepz": 1}, "agent_options.stepz", "no option 'stepz'"),
        ("intern", ["steps"], "agent_options", "no object"),
        ("intern", {"steps": float("nan")}, "agent_options.steps", "not JSON"),
        ("intern", {"steps": "\0"}, "agent_options.steps", "NUL"),
        ("intern", {"steps": 1, "fail_at": 10**30}, "agent_options.fail_at", "64 bits"),
        ("intern", {"steps\0": 1}, "agent_options", "NUL"),
        ("intern", {"\ud800": 1}, "agent_options", "surrogate"),
        *(("good", {"path": nested(n)}, "agent_options.path", "deeper than 64") for n in (64, 65, 500, 900, 5000)),
        ("default", {}, "agent_options.large", "64 bits"),
        ("recursive", {"a": nested_objects(62, 1.5)}, ".a".join(["agent_options", *[""] * 63]), "not valid under"),
        ("endless", {}, "agent_options", "too deeply"),
        ("good", {}, "agent_options.path", "needs the option 'path'"),
        ("good", {"path": "x", "deep": {"n": "1"}}, "agent_options.deep.n", "not of type"),
        ("good", {"path": "x", "deep": {"m": 1}}, "agent_options.deep.m", "no option"),
    ],
)
def test_wrong_options_name_their_field(
    installed: AgentRegistry, agent: str, options: Any, field: str, says: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        installed.validate_options(agent, options)
    assert caught.value.field == field
    assert says in caught.value.detail and len(caught.value.detail) < 400
    assert caught.value.remedy


def test_the_deepest_options_that_are_taken_fit_a_schema_that_refers_to_itself(installed: AgentRegistry) -> None:
    deepest = nested_objects(64, 1)
    assert installed.validate_options("recursive", deepest) == deepest


def test_a_misspelt_option_gets_a_hint() -> None:
    with pytest.raises(InvalidInput) as caught:
        AgentRegistry.load().validate_options("intern", {"stepz": 1})
    assert caught.value.remedy == "Did you mean 'steps'? `pavo agents show intern` lists the options."


def test_too_large_options() -> None:
    with pytest.raises(TooLarge):
        AgentRegistry.load().validate_options("intern", {"x": "y" * 70_000})


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([{"a": n} for n in range(5000)], True),
        ([{"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}], False),
        ([1, True, 1.5, "1", None, [1], [True], {"a": 1}, {"a": True}], True),
        ([0, False], True),
        ([[1, 2], [1.0, 2]], False),
        ([1e300, 1e300], False),
    ],
)
def test_a_long_list_is_judged_at_once(items: list[Any], unique: bool) -> None:
    """The library takes minutes for it, in which the API would answer nobody."""
    schema = {"type": "object", "properties": {"items": {"type": "array", "uniqueItems": True}}}
    began = time.process_time()
    try:
        checked_options("listing", schema, {"items": items})
    except InvalidInput as error:
        assert not unique and error.field == "agent_options.items" and len(error.detail) < 400
    else:
        assert unique
    assert time.process_time() - began < 2
