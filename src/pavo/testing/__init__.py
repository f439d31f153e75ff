"""For authors of agents: does mine keep its contract, also when it is stopped, killed and begun again?

    def test_my_agent() -> None:
        AgentTrial(Crawler, prompt="https://example.com").check()

Nothing of Pavo has to run for it, neither PostgreSQL nor Temporal; the hosts that drive the agent are those of a
worker, in both isolations. With pytest, `pytest_plugins = ["pavo.testing.pytest_plugin"]` in a conftest.py brings the
fixture `agent_trial`, which makes trials in each isolation. Checking options takes the extra `worker`.
"""

from pavo.testing.corpus import MemoryCorpus as MemoryCorpus
from pavo.testing.outcome import ContractBroken as ContractBroken
from pavo.testing.outcome import Outcome as Outcome
from pavo.testing.outcome import everything as everything
from pavo.testing.trial import AUTHOR as AUTHOR
from pavo.testing.trial import AgentTrial as AgentTrial
