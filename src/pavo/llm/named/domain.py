"""What an organisation's endpoint is: a name, and where and how models are asked under it. No key is part of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from pavo.errors import InvalidInput
from pavo.kit.outgoing.addresses import Network, may_reach

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}", re.ASCII)
"""How an endpoint's name is spelled: it stands in tasks' options, in addresses, and in front of a model's name."""
OPERATORS: Final = "default"
"""The name of the operator's own."""
MAX_ENDPOINTS: Final = 50
"""Of one organisation."""
MAX_URL: Final = 500
MAX_MODEL: Final = 200
NETWORKS: Final = "PAVO_LLM_NETWORKS"
"""The setting by which an operator allows addresses that are not public."""


@dataclass(frozen=True, slots=True)
class NamedEndpoint:
    """An endpoint as its organisation's owners see it."""

    name: str
    base_url: str
    """Without a slash at its end; `/chat/completions` follows."""
    model: str | None
    """Asked where a request names none."""
    secret: str | None
    """Name of the organisation's secret that is sent as its key; None: none is sent."""
    set_at: datetime
    set_by: str | None
    """Address of who set it; None: an operator, on the command line, or somebody who is gone."""


@dataclass(frozen=True, slots=True)
class EndpointValues:
    """What is set of one."""

    base_url: str
    model: str | None = None
    secret: str | None = None


def checked_name(name: str) -> str:
    """The name.

    Raises:
        InvalidInput: it is none.
    """
    if name == OPERATORS:
        told = f"{OPERATORS!r} is the operator's endpoint."
        raise InvalidInput(told, field="name", remedy="Choose another name, and have tasks name it.")
    if not NAME.fullmatch(name):
        remedy = "Use a letter or digit, then at most 49 letters, digits and _ . - in ASCII."
        raise InvalidInput(f"{name[:100]!r} is no name of an endpoint.", field="name", remedy=remedy)
    return name


def checked_model(model: str | None) -> str | None:
    """The model's name; None where it is empty.

    Raises:
        InvalidInput: it is none.
    """
    if model and (len(model) > MAX_MODEL or not model.isprintable() or " " in model):
        remedy = f"Give at most {MAX_MODEL} characters without blanks, as the server spells it, or leave it out."
        raise InvalidInput(f"{model[:100]!r} is no name of a model.", field="model", remedy=remedy)
    return model or None


def checked_url(url: str, allowed: Sequence[Network]) -> str:
    """The base URL, without a slash at its end. An address that is written as such is judged at once; one that a name
    stands for is judged at each connection.

    Raises:
        InvalidInput: it is none that may be asked.
    """
    text = url.strip()
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise _bad_url(f"It has more than {MAX_URL} characters, or some that no URL has.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url(f"{error}.") from error
    if parts.scheme != "https" and not (allowed and parts.scheme == "http"):
        raise _bad_url(f"It must begin with https://, for keys cross the internet; http:// is for {NETWORKS} alone.")
    if not host or port == 0 or "@" in parts.netloc or "?" in text or "#" in text:
        raise _bad_url("It names no host, or has a user and password, a query or a fragment.")
    try:
        reachable = may_reach(host, allowed, secure=parts.scheme == "https")
    except ValueError:
        reachable = True  # a name
    if not reachable:
        remedy = f"Give a public one, or have the operator allow its network: {NETWORKS}."
        raise InvalidInput(f"{host} may not be asked: it is no public address.", field="base_url", remedy=remedy)
    return text.rstrip("/")


def _bad_url(detail: str) -> InvalidInput:
    remedy = "Give one like https://api.openai.com/v1."
    return InvalidInput(f"This base URL cannot be used. {detail}", field="base_url", remedy=remedy)
