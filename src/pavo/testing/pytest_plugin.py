"""The fixture `agent_trial`, where a conftest.py asks for it: `pytest_plugins = ["pavo.testing.pytest_plugin"]`.

It is no entry point of pytest's: who has Pavo installed and tests something else pays nothing for it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import pytest

from pavo.agents.contract import Agent, Isolation

if TYPE_CHECKING:
    from pavo.testing.trial import AgentTrial


@pytest.fixture(params=get_args(Isolation))
def agent_trial(request: pytest.FixtureRequest) -> "Callable[..., AgentTrial]":
    """Makes an `AgentTrial` of an agent's class, with the same arguments; each test runs once in each isolation."""
    from pavo.testing.trial import AgentTrial

    def make(agent: type[Agent], **arguments: Any) -> AgentTrial:
        return AgentTrial(agent, **{"isolation": request.param, **arguments})

    return make
