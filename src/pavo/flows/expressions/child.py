"""The process in which expressions are compiled and evaluated: `python -m pavo.flows.expressions.child`.

Each request is a line of JSON: `{"source": …, "context": {…}}`, or `{"source": …}` to compile it alone; each answer one
too: `{"value": …}` or `{"error": …}`. Whoever asks ends it when an answer takes too long. Where nobody is left to do
so, it has a bound of its own: SIGXCPU ends it, also while an evaluation gives the interpreter no turn.
"""

import math
import resource
import sys
from datetime import datetime, timedelta
from typing import Any, Final, cast

import cel
import orjson

CPU_SECONDS: Final = 5
MEMORY_BYTES: Final = 1_000_000_000
MAX_ANSWER_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 64


def main() -> None:
    """Answer until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What the compiler says when it comes to harm is answered; its own report would go to the log.
    sys.stderr.close()
    answers = sys.stdout.buffer
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        answers.write(_answer(line) + b"\n")
        answers.flush()


def _answer(line: bytes) -> bytes:
    try:
        asked: dict[str, Any] = orjson.loads(line)
        program = cel.compile(asked["source"])
        if "context" not in asked:
            return b'{"value":null}'
        answer = orjson.dumps({"value": _json(program.execute(asked["context"]))})
    except BaseException as error:  # noqa: BLE001  a panic of the library's is no Exception
        return orjson.dumps({"error": _told(error)})
    if len(answer) > MAX_ANSWER_BYTES:
        return orjson.dumps({"error": f"it gives more than {MAX_ANSWER_BYTES:,} bytes"})
    return answer


def _told(error: BaseException) -> str:
    if isinstance(error, MemoryError | RecursionError):
        return "it takes more memory than it may"
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text.encode("utf-8", "replace").decode()[:500]


def _json(value: Any, depth: int = 0) -> Any:
    """The value as JSON has it."""
    if depth > MAX_DEPTH:
        raise ValueError("its value is too deep")
    match value:
        case None | bool() | str():
            return value
        case int() | float():
            return _number(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"{round(value.total_seconds() * 1000)}ms"
        case list() | tuple():
            return [_json(each, depth + 1) for each in cast(list[Any], value)]
        case dict():
            return {_key(key): _json(each, depth + 1) for key, each in cast(dict[Any, Any], value).items()}
        case _:
            raise ValueError(f"it gives {type(value).__name__}, which JSON does not have")


def _number(value: float) -> float:
    if not (math.isfinite(value) if isinstance(value, float) else -(2**53) < value < 2**53):
        raise ValueError(f"{value} is no number that JSON keeps")
    return value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{key!r:.60} is no name of a member")
    return key


if __name__ == "__main__":
    main()
