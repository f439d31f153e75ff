"""HTTP of one's own API tokens: parse, call one service method, return."""

import uuid
from datetime import timedelta

from fastapi import APIRouter

from pavo.accounts.dependencies import Caller, TheAccounts
from pavo.accounts.domain import TokenInfo
from pavo.accounts.schemas import TokenCreate, TokenList, TokenOut, TokenWithSecretOut
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/tokens", tags=["tokens"], responses=problems(401, 422))


@router.get("", operation_id="list_tokens")
async def list_tokens(accounts: TheAccounts, who: Caller) -> TokenList:
    """Your API tokens, newest first, without their secrets: all that are active, and the 200 newest of any kind."""
    return TokenList(items=[_out(each) for each in await accounts.own_tokens.mine(who)])


@router.post("", status_code=201, operation_id="create_token", responses=problems(409))
async def create_token(accounts: TheAccounts, who: Caller, new: TokenCreate) -> TokenWithSecretOut:
    """Create an API token of yours; its secret is shown this once.

    One that is made with a token that expires, expires with that at the latest.
    """
    lasts = None if new.expires_in_seconds is None else timedelta(seconds=new.expires_in_seconds)
    made = await accounts.own_tokens.create(who, new.name, lasts)
    return TokenWithSecretOut(**_out(made.token).model_dump(), secret=made.secret)


@router.delete("/{token_id}", status_code=204, operation_id="revoke_token", responses=problems(404))
async def revoke_token(accounts: TheAccounts, who: Caller, token_id: uuid.UUID) -> None:
    """End a token of yours and every session that it opened. Done twice it changes nothing more."""
    await accounts.own_tokens.revoke(who, token_id)


def _out(token: TokenInfo) -> TokenOut:
    return TokenOut(
        id=token.id,
        name=token.name,
        prefix=token.prefix,
        state=token.state,
        created_at=token.created_at,
        last_used_at=token.last_used_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )
