"""Which parts a command means."""

import pytest

from pavo.deploy.local.control import parts_named
from pavo.deploy.model.state import PartState, StackState, Urls
from pavo.errors import InvalidInput
from pavo.kit.processes import ProcessIdentity

PARTS = ("postgres", "temporal", "temporal-ui", "api", "api-2", "worker-1", "worker-2")
STATE = StackState(
    ProcessIdentity(1, "now"),
    True,
    False,
    "/data",
    tuple(PartState(name, "ready", 1, "", 0, "") for name in PARTS),
    Urls("", "", "", ""),
    {},
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("api", ["api", "api-2"]),
        ("api-1", ["api"]),
        ("api-2", ["api-2"]),
        ("worker", ["worker-1", "worker-2"]),
        ("worker-1", ["worker-1"]),
        ("temporal", ["temporal"]),
        ("temporal-ui", ["temporal-ui"]),
    ],
)
def test_a_kind_means_every_part_of_it(name: str, meant: list[str]) -> None:
    assert [part.name for part in parts_named(STATE, name)] == meant


@pytest.mark.parametrize("name", ["nothing", "api-3", "worker-0"])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        parts_named(STATE, name)
