"""The process in which proposed flows are examined: `python -m pavo.flows.generated.child`.

Each request is a line of JSON, `{"bytes": …}`, and so many bytes, the `Proposal` in JSON; each answer a line, the
`Examination` in JSON. Whoever asks ends it when an answer takes too long; SIGXCPU does where nobody is left to do so.
"""

import math
import resource
import sys
import traceback
from typing import Final

import orjson

from pavo.flows.checking.checked import wrong_as_a_whole
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.generated.examined import Examination, Proposal, examine

CPU_SECONDS: Final = 40
MEMORY_BYTES: Final = 1_500_000_000


def main() -> None:
    """Answer until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    evaluator = Evaluator()
    try:
        for line in asked:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = math.ceil(used.ru_utime + used.ru_stime) + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            answers.write(_answer(asked.read(orjson.loads(line)["bytes"]), evaluator))
            answers.flush()
    finally:
        evaluator.close()


def _answer(data: bytes, evaluator: Evaluator) -> bytes:
    try:
        found = examine(Proposal.model_validate_json(data), evaluator)
    except (MemoryError, RecursionError):
        found = Examination(checked=wrong_as_a_whole("examining it takes more memory than it may", "Make it smaller."))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's text does to what reads it
        traceback.print_exc()
        told = f"it cannot be examined: {type(error).__name__}"
        found = Examination(checked=wrong_as_a_whole(told, "Write it otherwise."))
    return found.model_dump_json().encode("utf-8", "replace") + b"\n"


if __name__ == "__main__":
    main()
