"""The usual begin and end of a call of a model, each in one statement on a kept connection.

What they do is what `journal` and `usage.budgets` do in one transaction, which goes on to be the way of every other
case: a call that was made before, a budget that does not suffice, a failure. `tests/llm/test_two_ways.py` holds both
together.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from pavo.agents.calling.completion import ModelRequest
from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnections
from pavo.llm.journal import Asked
from pavo.usage.domain import Call, Estimate, Spender, Used


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Both, for one subject's calls.

    Args:
        holds: SQL that answers whether the attempt of `%(epoch)s` of `%(subject)s` is the newest, and that no other
            begins before the statement is committed.
    """

    connections: KeptConnections
    holds: LiteralString

    async def begin(
        self,
        spender: Spender,
        request: ModelRequest,
        asked: Asked,
        call: Call,
        most: Estimate,
        under_way: Iterable[uuid.UUID],
    ) -> bool:
        """Write the intent of a call that none made before, and reserve for it; False: it is another case, and nothing
        is written.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        told = {
            "scope": spender.subject.scope,
            "identity": request.identity,
            "hash": request.hash,
            "endpoint": asked.endpoint,
            "tokens": most.tokens,
            "cost": most.cost,
            "under_way": list(under_way),
        }
        statement: LiteralString = f"""
            SELECT CASE WHEN {self.holds} THEN model_call_begin(
                %(call)s, %(organisation)s, %(subject)s, %(scope)s, %(identity)s, %(hash)s, %(endpoint)s, %(model)s,
                %(epoch)s, %(user)s, %(agent)s, %(tokens)s, %(cost)s, %(under_way)s::uuid[]
            ) ELSE false END"""
        return await self._one(statement, {**_values(spender, call), **told})

    async def settle(self, spender: Spender, call: Call, answer: Mapping[str, Any], used: Used) -> bool:
        """Record an answer, and settle what was reserved for it; False: the call is not this attempt's any more.

        Doing it again changes nothing.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        told = {
            "answer": encode_text(dict(answer)),
            "tokens_in": used.tokens_in,
            "tokens_out": used.tokens_out,
            "tokens_cached": used.tokens_cached,
            "cost": used.cost,
            "seconds": float(used.seconds),
        }
        statement: LiteralString = f"""
            SELECT CASE WHEN {self.holds} THEN model_call_settle(
                %(call)s, %(organisation)s, %(subject)s, %(model)s, %(epoch)s, %(user)s, %(agent)s, %(answer)s::jsonb,
                %(tokens_in)s, %(tokens_out)s, %(tokens_cached)s, %(cost)s, %(seconds)s
            ) ELSE false END"""
        return await self._one(statement, {**_values(spender, call), **told})

    async def _one(self, statement: LiteralString, values: Mapping[str, Any]) -> bool:
        return (await self.connections.rows(statement, values))[0][0]


def _values(spender: Spender, call: Call) -> Mapping[str, Any]:
    return {
        "organisation": spender.subject.organisation_id,
        "subject": spender.subject.id,
        "epoch": spender.epoch,
        "call": call.id,
        "model": call.model,
        "user": spender.user_id,
        "agent": spender.agent,
    }
