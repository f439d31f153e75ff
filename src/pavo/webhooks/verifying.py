"""Whether a message that has come is signed: as Pavo signs its own (Standard Webhooks), or as GitHub and Gitea do.
Pure.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries describes the second way.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pavo.webhooks.domain import MAX_SECRETS, signature

TOLERANCE_SECONDS: Final = 300
"""That a message may be older than now, or younger: one that somebody has recorded counts no longer. The specification
of Standard Webhooks names five minutes."""
MAX_SIGNATURES: Final = 2 * MAX_SECRETS
"""Of a message; those that follow are not looked at."""
_ID: Final = re.compile(r"[A-Za-z0-9_:-]{1,200}")
"""Without dots: they part what is signed."""
_TIME: Final = re.compile(r"[1-9][0-9]{0,11}")
_NOBODYS: Final = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def verified(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> str | None:
    """Under which name a message counts once; None: none of these secrets has signed it, or not lately.

    By `webhook-signature` that is its id. `X-Hub-Signature-256` covers the body alone, neither an id nor a time, so
    there the body's hash is the name: what somebody has recorded and sends again counts no second time.

    Args:
        headers: with names in small letters.
        secrets: none: as much is computed as with one.
        now: seconds since 1970.
    """
    known = secrets or (_NOBODYS,)
    name = _standard(headers, body, known, now) if "webhook-signature" in headers else _hub(headers, body, known)
    return name if secrets else None


def _standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> str | None:
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id) or not _TIME.fullmatch(sent):
        return None
    given = headers["webhook-signature"].split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]
    good = _any_same([signature(secret, message_id, int(sent), body) for secret in secrets], given)
    return f"id:{message_id}" if good and abs(now - int(sent)) <= TOLERANCE_SECONDS else None


def _hub(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> str | None:
    signed = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    given = headers.get("x-hub-signature-256", "").removeprefix("sha256=")
    return f"sha256:{hashlib.sha256(body).hexdigest()}" if _any_same(signed, [given]) else None


def _any_same(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Every pair is compared, each in constant time."""
    return sum(hmac.compare_digest(one.encode(), other.encode()) for one in wanted for other in given) > 0
