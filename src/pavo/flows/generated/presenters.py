"""Generated flows as the wire has them."""

from pavo.flows.generated.schemas import GeneratedFlow, GenerationSpent
from pavo.flows.generated.service import Answered
from pavo.usage.domain import money


def generated_out(found: Answered) -> GeneratedFlow:
    """As it is shown."""
    generated, seen, sums = found.generated, found.generated.examination, found.spent
    cost = None if sums.unpriced else money(sums.cost, found.currency)
    return GeneratedFlow(
        outcome=generated.outcome,
        words=generated.words,
        flow=seen and seen.checked.flow,
        hash=seen and seen.checked.hash,
        text=seen.flow if seen else generated.text,
        cases=seen and seen.cases,
        steps=seen and seen.checked.steps,
        calls=seen.calls if seen else [],
        cost=seen and seen.cost,
        tried=seen.tried if seen else [],
        unasked=seen.unasked if seen else [],
        only_on_temporal=seen.checked.only_on_temporal if seen else [],
        unchecked=seen.checked.unchecked if seen else [],
        difference=seen and seen.difference,
        problems=seen.case_problems if seen else list(generated.problems),
        rounds=generated.rounds,
        spent=GenerationSpent(calls=sums.calls, tokens_in=sums.tokens_in, tokens_out=sums.tokens_out, cost=cost),
    )
