"""Which policy decides: held against the rules as the guide states them."""

import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.config import ToolSettings
from pavo.tasks.wiring import operators_word
from pavo.tools.policies.domain import (
    EFFECT_STRICTNESS,
    STRICTNESS,
    Call,
    Decision,
    Policy,
    judged,
    stricter_effect,
)

ORGANISATION, TASK = uuid.uuid4(), uuid.uuid4()
DECISIONS = st.sampled_from(sorted(STRICTNESS))
EFFECTS = st.sampled_from(sorted(EFFECT_STRICTNESS))
BIG = {"properties": {"n": {"minimum": 3}}, "required": ["n"]}
POLICIES = st.builds(
    Policy,
    id=st.uuids(),
    organisation_id=st.just(ORGANISATION),
    decision=DECISIONS,
    tool=st.sampled_from(["*", "a*", "a.*", "a.b", "?.b", "c"]),
    agent=st.sampled_from([None, "intern", "other"]),
    task_id=st.sampled_from([None, None, TASK]),
    effect=st.none() | EFFECTS,
    arguments=st.sampled_from([None, BIG]),
)
CALLS = st.builds(
    Call,
    tool=st.sampled_from(["a.b", "a.c", "c", "d"]),
    effect=EFFECTS,
    arguments=st.builds(lambda n: {"n": n}, st.integers(1, 5)),
    agent=st.just("intern"),
)
NAMED = {"*": "abcd", "a*": "ab", "a.*": "ab", "a.b": "b", "?.b": "b", "c": "c"}
"""Which of the tools each pattern means, by their last letter (a.b: b, a.c: a)."""


def means(pattern: str, tool: str) -> bool:
    return {"a.b": "b", "a.c": "a", "c": "c", "d": "d"}[tool] in NAMED[pattern]


def holds(policy: Policy, call: Call) -> bool:
    fits = policy.arguments is None or call.arguments["n"] >= 3
    return means(policy.tool, call.tool) and policy.agent != "other" and policy.effect in (None, call.effect) and fits


def more_exact(one: Policy, other: Policy) -> bool:
    """As the guide says it, condition by condition."""
    if (one.agent is None) != (other.agent is None):
        return one.agent is not None
    for measure in (lambda p: "*" not in p.tool and "?" not in p.tool, lambda p: sum(c not in "*?" for c in p.tool)):
        if measure(one) != measure(other):
            return measure(one) > measure(other)
    if (one.arguments is None) != (other.arguments is None):
        return one.arguments is not None
    return one.effect is not None and other.effect is None


def word_of(call: Call, policies: list[Policy]) -> Decision | None:
    holding = [each for each in policies if holds(each, call)]
    best = [each for each in holding if not any(more_exact(other, each) for other in holding)]
    return max((each.decision for each in best), key=lambda each: STRICTNESS[each], default=None)


@given(CALLS, st.lists(POLICIES, max_size=8), DECISIONS)
def test_the_most_exact_decides_and_a_task_only_adds(call: Call, policies: list[Policy], default: Decision) -> None:
    ours = word_of(call, [each for each in policies if each.task_id is None]) or default
    own = word_of(call, [each for each in policies if each.task_id is not None])
    expected = max([ours, *([own] if own else [])], key=lambda each: STRICTNESS[each])
    found = judged(call, policies, default)
    assert found.decision == expected and found.why
    assert found == judged(call, policies[::-1], default), "the order in which they are stored decides nothing"
    assert STRICTNESS[found.decision] >= STRICTNESS[ours]


def one(decision: Decision, tool: str = "*", **more: Any) -> Policy:
    return Policy(uuid.uuid4(), ORGANISATION, decision, tool, **more)


def test_what_cannot_be_judged_is_strict() -> None:
    call = Call("a.b", "unsafe", {"n": 1}, "intern")
    nowhere = {"$ref": "https://example.com/none"}
    assert judged(call, [one("deny", arguments=nowhere)], "allow").decision == "deny"
    assert judged(call, [one("ask", arguments=nowhere)], "allow").decision == "ask"
    assert judged(call, [one("allow", arguments=nowhere)], "ask").decision == "ask"


def test_judging_is_bounded() -> None:
    begun = time.monotonic()
    call = Call("a" * 60, "unsafe", {"n": "a" * 200_000}, "intern")
    slow = {"properties": {"n": {"pattern": "(a*)*b"}}}
    judged(call, [one("ask", "*a" * 50), one("deny", "?*" * 50), one("ask", arguments=slow)], "allow")
    assert time.monotonic() - begun < 5


def test_a_policy_that_says_something_else_is_another_one() -> None:
    call, asks = Call("a.b", "unsafe", {"n": 1}, "intern"), one("ask", "a.b")
    rule = judged(call, [asks], "allow").rule
    assert judged(call, [asks], "deny").rule == rule
    own = Policy(uuid.uuid4(), ORGANISATION, "ask", task_id=TASK)
    assert judged(call, [asks, own], "allow").rule != rule
    assert judged(call, [], "ask").rule != judged(Call("a.b", "read", {}, "intern"), [], "ask").rule


@given(EFFECTS, st.none() | EFFECTS)
def test_an_organisation_makes_effects_stricter_alone(one: Any, other: Any) -> None:
    found = stricter_effect(one, other)
    assert EFFECT_STRICTNESS[found] >= EFFECT_STRICTNESS[one] and found in (one, other)


def test_the_operators_word_is_read_from_the_settings() -> None:
    word = operators_word(ToolSettings.model_validate({"unsafe": "ask", "effects": "search=read, git.log=idempotent"}))
    assert word.unsafe == "ask" and word.effect_of("search", "unsafe") == "read"
    assert word.effect_of("git.log", "read") == "idempotent" and word.effect_of("other", "unsafe") == "unsafe"
    for wrong in ("search", "search=odd", "search=read;x=read", "=read"):
        with pytest.raises(ValueError, match="effects"):
            ToolSettings.model_validate({"effects": wrong})
