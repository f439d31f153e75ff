"""A program with an engine in it: refunds go on whatever happens to the process.

python host.py A7     # end it at any moment, kill it too; run it again, and it goes on with the same refund
"""

import sys
import time
import uuid
from pathlib import Path

from pavo.flows import TemporalWorkflowEngine
from pavo.tools.contract import tool

JOURNAL = Path("refunds.log")
REFUND = {
    "name": "refund",
    "steps": {
        "fetch": {"action": "fetch", "params": {"order": "{{ inputs.order }}"}},
        "check": {"action": "check", "params": {"sum": "{{ fetch.sum }}"}, "depends_on": ["fetch"]},
        "pay": {"action": "pay", "params": {"sum": "{{ fetch.sum }}"}, "depends_on": ["check"], "retry": 2},
        "tell": {"action": "tell", "params": {"order": "{{ inputs.order }}"}, "depends_on": ["pay"]},
    },
}


def note(text: str) -> None:
    """Write a line for whoever looks on; and take a while, as work does."""
    with JOURNAL.open("a") as file:
        file.write(f"{text}\n")
    time.sleep(0.5)


@tool(effect="read")
def fetch(order: str) -> dict[str, int]:
    """Look an order up."""
    note(f"fetch {order}")
    return {"sum": 12}


@tool(effect="read")
def check(sum: int) -> bool:
    """See whether it may be paid back."""
    note(f"check {sum}")
    return sum < 100


@tool(effect="idempotent")
def pay(sum: int) -> str:
    """Pay it back; the bank takes the same payment once."""
    note(f"pay {sum}")
    return f"paid {sum}"


@tool(effect="idempotent")
def tell(order: str) -> None:
    """Write to the customer."""
    note(f"tell {order}")


def main(order: str) -> int:
    """Begin a refund, or go on with it, and wait for its end."""
    with TemporalWorkflowEngine("refunds", {"fetch": fetch, "check": check, "pay": pay, "tell": tell}) as engine:
        engine.register(REFUND)
        run = engine.start("refund", {"order": order}, run_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"refund/{order}")))
        found = engine.result(run)
        told = f"{found['flow']} of {order}: {found['state']} on {found['engine']}, {found['results'].get('pay')}"
        print(told)  # noqa: T201
        return 0 if found["state"] == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
