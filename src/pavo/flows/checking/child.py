"""The process in which strangers' flows are checked: `python -m pavo.flows.checking.child`.

Each request is a line of JSON, `{"bytes": …, "known": {…}, "keep": …}`, and so many bytes of text; each answer a line,
the `Examined` in JSON. Whoever asks ends it when an answer takes too long; SIGXCPU does where nobody is left to do so.
"""

import math
import resource
import sys
from typing import Final

import orjson

from pavo.flows.checking.checked import Examined, KnownNames, examine, wrong_as_a_whole
from pavo.flows.expressions.evaluating import Evaluator

CPU_SECONDS: Final = 30
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
            request = orjson.loads(line)
            text = asked.read(request["bytes"])
            known = KnownNames.model_validate(request["known"])
            answers.write(_answer(text, known, evaluator, keep=request["keep"]))
            answers.flush()
    finally:
        evaluator.close()


def _answer(text: bytes, known: KnownNames, evaluator: Evaluator, *, keep: bool) -> bytes:
    try:
        found = examine(text, evaluator.wrong, known, keep=keep)
    except (MemoryError, RecursionError):
        found = Examined(checked=wrong_as_a_whole("checking it takes more memory than it may", "Make it smaller."))
    return found.model_dump_json().encode("utf-8", "replace") + b"\n"


if __name__ == "__main__":
    main()
