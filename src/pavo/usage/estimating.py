"""What a chat completion may take, from its request; and what it took, as the model's server says."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pavo.kit.json_values import encode_text
from pavo.usage.domain import Estimate, Used
from pavo.usage.prices import PriceTable

BYTES_A_TOKEN: Final = 3
"""Of a request as JSON in UTF-8: English has four and more, Chinese about three, and its JSON adds some."""
LARGEST_OUTPUT: Final = 16_384
"""Tokens of an answer to a request that bounds it by neither max_completion_tokens nor max_tokens."""
MOST: Final = 1_000_000_000
"""Tokens of one call: what is more is a lie of its server's."""


def estimate(prices: PriceTable, model: str, body: Mapping[str, Any]) -> Estimate:
    """Input, and the largest output, of a request for a chat completion."""
    tokens_in, tokens_out = tokens_of(body), _largest_output(body)
    return Estimate(tokens_in + tokens_out, prices.cost(model, tokens_in, tokens_out))


def used(prices: PriceTable, model: str, body: Mapping[str, Any], answer: Mapping[str, Any], seconds: float) -> Used:
    """What a call took, as the answer's `usage` says; where that says nothing that can be, from the sizes of both."""
    told = _members(answer.get("usage"))
    tokens_in, tokens_out = _count(told.get("prompt_tokens")), _count(told.get("completion_tokens"))
    if tokens_in is None:
        tokens_in = tokens_of(body)
    if tokens_out is None:
        tokens_out = _size({"choices": answer.get("choices")})
    cached = min(_count(_members(told.get("prompt_tokens_details")).get("cached_tokens")) or 0, tokens_in)
    return Used(tokens_in, tokens_out, cached, prices.cost(model, tokens_in, tokens_out, cached), seconds)


def _members(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def tokens_of(body: Mapping[str, Any]) -> int:
    """About how many its input has; rather more than less."""
    return _size({name: value for name, value in body.items() if name in ("messages", "tools", "response_format")})


def _size(value: Any) -> int:
    return min(-(-len(encode_text(value).encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN), MOST)


def _largest_output(body: Mapping[str, Any]) -> int:
    bounds = [_count(body.get(name)) for name in ("max_completion_tokens", "max_tokens")]
    # Given both, which one a server heeds is not known.
    bound = max((each for each in bounds if each is not None), default=LARGEST_OUTPUT)
    answers = _count(body.get("n")) or 1
    return min(bound * answers, MOST)


def _count(value: object) -> int | None:
    """A number of tokens, where it can be one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        return None
    return value
