"""`python -m bench.generating --model MODEL --base-url URL [--kind KIND] [--only ID,…] [--json FILE]`.

The key of the endpoint, where it wants one, is that of PAVO_LLM_API_KEY.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.generating.cases import KINDS, EvaluationCase, evaluation_set
from bench.generating.running import Evaluation, Result, opened
from bench.generating.table import document, lines
from pavo.flows.generated.asking import MAX_OUTPUT
from pavo.llm.model_endpoints import Endpoint


def main() -> int:
    """The exit code: 0 however well the model does, 1 where the endpoint gave no answer at all, 2 for wrong usage."""
    asked = _parser().parse_args()
    cases = chosen(evaluation_set(), asked.kind, asked.only)
    if not cases:
        print("No case is so.", file=sys.stderr)
        return 2
    results = asyncio.run(_run(cases, asked))
    for line in lines(results):
        print(line)
    if asked.json is not None:
        asked.json.write_text(json.dumps(document(results), indent=2) + "\n")
    return 1 if all(each.outcome == "error" for each in results) else 0


def chosen(cases: Sequence[EvaluationCase], kinds: Sequence[str] | None, only: str | None) -> list[EvaluationCase]:
    """Those that are meant."""
    ids = None if only is None else only.split(",")
    return [each for each in cases if (not kinds or each.kind in kinds) and (ids is None or each.id in ids)]


async def _run(cases: Sequence[EvaluationCase], asked: argparse.Namespace) -> list[Result]:
    endpoint = Endpoint("evaluated", asked.base_url.rstrip("/"), os.environ.get("PAVO_LLM_API_KEY"), asked.model)
    async with opened(asked.silence) as (client, examiner):
        evaluation = Evaluation(client, examiner, endpoint, asked.at_once, max_tokens=asked.max_tokens)
        return await asyncio.gather(*(evaluation.run(each) for each in cases))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.generating", description="How well a model writes flows.")
    parser.add_argument("--model", required=True, help="as the endpoint calls it")
    parser.add_argument("--base-url", required=True, help="of an OpenAI-compatible server: …/v1")
    parser.add_argument("--kind", action="append", choices=KINDS, help="cases of this kind alone; may be repeated")
    parser.add_argument("--only", help="ids of cases, with commas")
    parser.add_argument("--at-once", type=int, default=4, help="cases at once")
    parser.add_argument("--max-tokens", type=int, default=MAX_OUTPUT, help="of an answer")
    parser.add_argument("--silence", type=float, default=300.0, help="seconds in which an answer may say nothing")
    parser.add_argument("--json", type=Path, help="all results, to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
