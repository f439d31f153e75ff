"""`docs/guides/llm.md`: the options that it shows are options, and what it says of questions is so."""

import json
import re
from pathlib import Path

from pavo.agents.llm_agent import last_word, turns
from pavo.agents.llm_agent.agent import LlmAgent
from pavo.agents.options import completed_options
from pavo.config import LlmSettings
from pavo.kit.json_schema import misfit


def test_what_the_guide_shows_is_so(root: Path) -> None:
    text = (root / "docs" / "guides" / "llm.md").read_text()
    [shown] = re.findall(r'^```json title="options.json"\n(.*?)^```$', text, re.M | re.S)
    assert misfit(LlmAgent.options_schema, json.loads(shown)) is None
    defaults = completed_options(LlmAgent.options_schema, {})
    assert (defaults["same_calls"], defaults["still_turns"], defaults["still_tokens"]) == (5, 50, 5_000_000)
    assert (defaults["window_bytes"], last_word.EMPTY, last_word.CUT) == (200_000, 3, 10)
    for answer in (turns.ONCE, turns.ALWAYS, turns.DENY, turns.GO_ON, turns.REFUSE):
        assert f"`{answer}`" in text
    shown = "\n".join(re.findall(r"^```sh.*?\n(.*?)^```$", text, re.M | re.S))
    named = {f"PAVO_LLM_{name.upper()}" for name in LlmSettings.model_fields}
    assert set(re.findall(r"PAVO_LLM_\w+", shown)) == {f"PAVO_LLM_{name}" for name in ("BASE_URL", "API_KEY", "MODEL")}
    assert set(re.findall(r"PAVO_LLM_\w+", text)) <= named
    for name in LlmAgent.options_schema["properties"]:
        assert f"`{name}`" in text or f'"{name}"' in text
