"""What an agent is told when Pavo itself fails."""

from weakref import WeakSet

import psycopg
import pytest
from sqlalchemy.exc import DataError

from pavo.agents.calling.outages import noted
from pavo.errors import AgentError, Unavailable


def test_an_agent_never_reads_a_statement(caplog: pytest.LogCaptureFixture) -> None:
    hidden = DataError("UPDATE tool_calls SET secret = 'canary'", {}, psycopg.DataError("canary"))
    for error in (hidden, psycopg.DataError("canary")):
        with pytest.raises(AgentError) as told, noted(WeakSet()):
            raise error
        assert told.value.detail == "Pavo could not answer the agent: DataError."
        assert told.value.__suppress_context__, "its traceback would show it"
    assert "canary" in caplog.text, "those who run Pavo find it in the log"


def test_an_outage_is_kept_and_what_is_not_pavos_passes() -> None:
    outages = WeakSet[Unavailable]()
    away = Unavailable("Away.", dependency="postgres")
    with pytest.raises(Unavailable), noted(outages):
        raise away
    assert away in outages
    with pytest.raises(ValueError, match="mine"), noted(outages):
        raise ValueError("mine")
