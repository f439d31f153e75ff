"""Who is asking, for endpoints. `api.create_app` puts the `AccountsService` at `app.state.accounts`."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.domain import Identity, Membership
from pavo.accounts.organisations.service import OrganisationService
from pavo.accounts.origin import SESSION_COOKIE
from pavo.accounts.secrets.service import SecretService
from pavo.accounts.security import bearer
from pavo.accounts.service import AccountsService
from pavo.errors import Forbidden, InvalidInput, NotAuthenticated


def accounts_of(request: Request) -> AccountsService:
    """The service, for other dependencies; one more of them costs more than this look-up."""
    service: AccountsService = request.app.state.accounts
    return service


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _accounts(request: Request) -> AccountsService:
    return accounts_of(request)


async def _organisations(request: Request) -> OrganisationService:
    return accounts_of(request).organisations_of_members


async def _secrets(request: Request) -> SecretService:
    found: SecretService = request.app.state.secrets
    return found


async def maybe_identity(request: Request) -> Identity | None:
    """Who is asking, or None if the request says nothing about it.

    A bearer token decides where there is one; then (dev mode) the identity headers; then the session cookie.

    Raises:
        NotAuthenticated: there is a bearer token, but it opens nothing.
        InvalidInput: an identity header is malformed (dev mode).
    """
    accounts = accounts_of(request)
    secret = bearer(request.scope)
    if secret is not None:
        identity = await accounts.identify_token(secret)
        if identity is None:
            raise NotAuthenticated(
                "This API token is unknown, revoked or expired.",
                field="Authorization",
                remedy="Make a new one with: pavo token create EMAIL",
            )
        return identity
    if accounts.mode == "dev":
        identity = await accounts.identify_header(_header(request, "X-User-Id"), _header(request, "X-User-Email"))
        if identity is not None:
            return identity
    cookie = request.cookies.get(SESSION_COOKIE)
    return None if cookie is None else await accounts.identify_session(cookie)


async def current_identity(request: Request) -> Identity:
    """Who is asking. In dev mode a request that does not say is the user `domain.DEV_EMAIL`.

    Raises:
        NotAuthenticated: token mode, and nobody proved who they are.
        InvalidInput: an identity header is malformed (dev mode).
    """
    identity = await maybe_identity(request)
    if identity is not None:
        return identity
    accounts = accounts_of(request)
    if accounts.mode == "dev":
        return await accounts.default_identity()
    raise NotAuthenticated(
        "Nobody proved who they are.",
        remedy="Send Authorization: Bearer with an API token, or open a session with POST /api/session.",
        auth=accounts.mode,
    )


async def stream_identity(request: Request) -> Identity | None:
    """Who may watch by a bare URL (an EventSource sends no headers).

    None means that the subject's id is the capability: dev mode, which listens on loopback only.

    Raises:
        NotAuthenticated: token mode, and nobody proved who they are.
    """
    return None if accounts_of(request).mode == "dev" else await current_identity(request)


Caller = Annotated[Identity, Depends(current_identity)]


async def own_organisation(request: Request, who: Caller, organisation_id: uuid.UUID) -> Membership:
    """The caller's place in the organisation of the path, asked of the database, so that a change holds at once.

    Raises:
        NotFound: unknown, or they are no member.
    """
    return await accounts_of(request).membership(who, organisation_id)


async def owned_organisation(mine: Annotated[Membership, Depends(own_organisation)]) -> Membership:
    """The same, for what only owners may do.

    Raises:
        NotFound: unknown, or they are no member.
        Forbidden: they are a member, but no owner.
    """
    if mine.role != "owner":
        raise Forbidden(
            "Only owners of the organisation may do this.", remedy="Ask an owner to do it, or to make you one."
        )
    return mine


TheAccounts = Annotated[AccountsService, Depends(_accounts)]
TheOrganisations = Annotated[OrganisationService, Depends(_organisations)]
TheSecrets = Annotated[SecretService, Depends(_secrets)]
StreamCaller = Annotated[Identity | None, Depends(stream_identity)]
OwnOrganisation = Annotated[Membership, Depends(own_organisation)]
OwnedOrganisation = Annotated[Membership, Depends(owned_organisation)]


def _header(request: Request, name: str) -> str | None:
    value = request.headers.get(name)
    if value is None:
        return None
    try:
        return value.encode("latin-1").decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InvalidInput("This header is not UTF-8.", field=name, remedy="Send it in UTF-8.") from error
