"""What models cost: a table that an operator writes, read once when a process starts.

    currency = "USD"

    [[models]]
    match = "gpt-4o-mini*"   # as in a shell: * and ?
    input = 0.15             # for a million tokens
    output = 0.60
    cached = 0.075           # input that came from the provider's cache; default: as `input`

The first one that matches a model's name counts. A model that none matches has no known price.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from pavo.errors import ConfigurationError
from pavo.usage.domain import MAX_COST, NANOS

VARIABLE: Final = "PAVO_PRICES"
MILLION: Final = 1_000_000
MAX_FILE_BYTES: Final = 1_000_000
MAX_MODELS: Final = 10_000
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_UNCLOSED: Final = re.compile(r"\[(?!(?:!.|[^!])[^\]]*\])", re.DOTALL)
"""A set of characters that does not end: a shell would take it for a letter, and nothing would match."""
_MEMBERS: Final = ("match", "input", "output", "cached")
DEFAULT_CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of the models cost that match, in the table's currency."""

    match: str
    input: Decimal
    output: Decimal
    cached: Decimal


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by the models' names. Build it with `load`."""

    currency: str = DEFAULT_CURRENCY
    """ISO 4217."""
    prices: Sequence[Price] = ()

    @classmethod
    def load(cls, path: Path | None) -> "PriceTable":
        """Read the table; without one, no price is known.

        Raises:
            ConfigurationError: it cannot be read, or something in it is no price; `field` names it.
        """
        if path is None:
            return cls()
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                _refuse("", f"the file has more than {MAX_FILE_BYTES:,} bytes")
            text = data.decode("utf-8-sig")  # some editors begin a file with a mark
            given: Any = _json(text) if path.suffix == ".json" else tomllib.loads(text, parse_float=_number)
        except OSError as error:
            _refuse("", f"{path} cannot be read: {error.strerror}")
        except (ValueError, RecursionError) as error:
            _refuse("", f"{path} is no {'JSON' if path.suffix == '.json' else 'TOML'}: {error}")
        return _table(given)

    def cost(self, model: str, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> int | None:
        """What a call costs, in nanos, a part of one counted as a whole, `MAX_COST` at most; None: it is not known."""
        price = next((each for each in self.prices if fnmatchcase(model, each.match)), None)
        if price is None:
            return None
        cached = min(max(tokens_cached, 0), tokens_in)
        sum_ = price.input * (tokens_in - cached) + price.cached * cached + price.output * tokens_out
        whole = sum_ * (NANOS // MILLION)
        return min(int(whole) + (whole != int(whole)), MAX_COST * NANOS)


def _json(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_no_number, object_pairs_hook=_members)


def _members(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:100]!r} is there twice")
        found[name] = value
    return found


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError as error:  # its exponent is beyond all bounds
        raise ValueError(f"{text[:100]} is no number that can be counted with") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _table(given: Any) -> PriceTable:
    table = _object("", given, ("currency", "models"))
    currency = table.get("currency", DEFAULT_CURRENCY)
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        _refuse("currency", f"{currency!r} is no currency such as USD")
    models = table.get("models", [])
    if not isinstance(models, list) or len(cast("list[Any]", models)) > MAX_MODELS:
        _refuse("models", f"it is no list of at most {MAX_MODELS:,} tables")
    return PriceTable(
        currency, tuple(_price(f"models[{at}]", each) for at, each in enumerate(cast("list[Any]", models)))
    )


def _price(place: str, given: Any) -> Price:
    members = _object(place, given, _MEMBERS)
    match = members.get("match")
    if not isinstance(match, str) or not 0 < len(match) <= 200:
        _refuse(f"{place}.match", f"{match!r} is no pattern of a model's name")
    if _UNCLOSED.search(match):
        _refuse(f"{place}.match", f"{match!r} has a [ without its ]")
    amounts = {name: _amount(f"{place}.{name}", members.get(name)) for name in ("input", "output")}
    cached = _amount(f"{place}.cached", members["cached"]) if "cached" in members else amounts["input"]
    return Price(match, amounts["input"], amounts["output"], cached)


def _object(place: str, given: Any, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        _refuse(place, f"{type(given).__name__} where a table belongs")
    for name in cast("dict[Any, Any]", given):
        if name not in known:
            _refuse(f"{place}.{name}".strip("."), f"it is not known; there are {', '.join(known)}")
    return cast("dict[str, Any]", given)


def _amount(place: str, given: Any) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        _refuse(place, "there is none" if given is None else f"{given!r} is no number")
    amount = Decimal(given)
    if not amount.is_finite() or not 0 <= amount <= MAX_COST:
        _refuse(place, f"{given} is no price of a million tokens")
    return amount


def _refuse(place: str, wrong: str) -> NoReturn:
    field = f"{VARIABLE}: {place}" if place else VARIABLE
    remedy = "Correct the file that PAVO_PRICES names; docs/guides/budgets.md shows one."
    raise ConfigurationError(f"{field}: {wrong}.", field=field, remedy=remedy)
