"""The session: open one, see whose it is, close it."""

from fastapi import APIRouter, Request, Response

from pavo.accounts.dependencies import Caller, TheAccounts
from pavo.accounts.domain import Identity
from pavo.accounts.origin import SESSION_COOKIE
from pavo.accounts.schemas import OpenSession, SessionView
from pavo.accounts.service import AccountsService
from pavo.accounts.sessions import SESSION_SECONDS
from pavo.errors import InvalidInput
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/session", tags=["session"])


@router.post(
    "",
    summary="Log in",
    responses=problems(401),
    openapi_extra={"security": []},  # what proves who it is comes in the body
)
async def open_session(body: OpenSession, request: Request, response: Response, accounts: TheAccounts) -> SessionView:
    """Exchange an API token (dev mode: an e-mail address) for a session cookie of 12 hours."""
    if (body.token is None) == (body.email is None):
        raise InvalidInput(
            "A session opens by a token or by an e-mail address.", field="token", remedy="Send one of the two."
        )
    if body.token is not None:
        identity, cookie = await accounts.open_session(body.token)
    else:
        identity, cookie = await accounts.open_dev_session(body.email or "")
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=SESSION_SECONDS,
        path="/",
        secure=_came_by_https(request),
        httponly=True,
        samesite="lax",
    )
    return _view(identity, accounts)


@router.get("", summary="Who am I", responses=problems(401, 422))
async def show_session(identity: Caller, accounts: TheAccounts) -> SessionView:
    """Who the API takes you for; 401 in token mode when nobody is logged in."""
    return _view(identity, accounts)


@router.delete("", status_code=204, summary="Log out")
async def close_session(request: Request, response: Response) -> None:
    """Take the session cookie back. To end sessions elsewhere too, revoke the token: `pavo token revoke`."""
    response.delete_cookie(SESSION_COOKIE, path="/", secure=_came_by_https(request), httponly=True, samesite="lax")


def _came_by_https(request: Request) -> bool:
    # Behind a proxy that ends TLS only the page's own origin still says so; the guard has checked that it is ours.
    return request.url.scheme == "https" or request.headers.get("Origin", "").startswith("https://")


def _view(identity: Identity, accounts: AccountsService) -> SessionView:
    return SessionView(
        user_id=identity.user_id,
        email=identity.email,
        organisation_id=identity.organisation_id,
        auth=accounts.mode,
    )
