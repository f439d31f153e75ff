"""Clients that others' generators make of the description can tell events apart."""

import pytest

from tools import generated_clients


@pytest.mark.parametrize("name", generated_clients.CLIENTS)
def test_a_generated_client_tells_events_apart(name: str) -> None:
    try:
        generated_clients.check(name)
    except generated_clients.NotToBeHad as reason:
        pytest.skip(f"the generator cannot be installed here: {reason}")
