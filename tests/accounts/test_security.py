"""The gate and the dependencies, through a small application over a real database."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from pavo.accounts.dependencies import Caller, StreamCaller, maybe_identity
from pavo.accounts.domain import Identity
from pavo.accounts.endpoints import router
from pavo.accounts.security import BrowserGuard
from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings
from pavo.errors import Forbidden, InvalidInput, NotAuthenticated, PavoError
from pavo.kit.problem import PROBLEM_JSON, problem
from pavo.kit.sql import Database

SECRET = "a secret of more than thirty-two characters"
STATUS = {InvalidInput: 422, NotAuthenticated: 401, Forbidden: 403}


def application(database: Database, **given: Any) -> FastAPI:
    settings = HttpSettings.model_validate(given)
    app = FastAPI()
    app.state.accounts = AccountsService(database, settings)
    app.include_router(router)

    @app.exception_handler(PavoError)
    async def on_error(_: Request, error: PavoError) -> JSONResponse:
        status = STATUS[type(error)]
        return JSONResponse(problem(status, error), status, media_type=PROBLEM_JSON)

    @app.api_route("/api/things", methods=["GET", "POST"])
    async def things(who: Caller) -> dict[str, str]:
        return {"email": who.email}

    @app.get("/me_v2")
    async def me(who: Annotated[Identity | None, Depends(maybe_identity)]) -> dict[str, str | None]:
        return {"email": None if who is None else who.email}

    @app.get("/tasks/7/stream")
    async def stream(who: StreamCaller) -> dict[str, str | None]:
        return {"email": None if who is None else who.email}

    app.add_middleware(BrowserGuard, settings=settings)
    return app


@contextlib.asynccontextmanager
async def browser(
    app: FastAPI, base: str = "http://localhost:8000", **headers: str
) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        yield client


@pytest.fixture
def dev_app(database: Database) -> FastAPI:
    return application(database, auth="dev")


@pytest.fixture
def token_app(database: Database) -> FastAPI:
    return application(database, auth="token", secret_key=SECRET, cors_origins="https://app.example")


async def new_token(app: FastAPI) -> tuple[str, str]:
    """A new user's address and token."""
    email = f"{uuid.uuid4().hex}@example.com"
    created = await app.state.accounts.create_token(email, "test")
    return email, created.secret


async def test_dev_knows_people_by_header(dev_app: FastAPI) -> None:
    async with browser(dev_app) as client:
        named = await client.get("/api/things", headers={"X-User-Email": "Ada@Example.com"})
        assert named.json() == {"email": "ada@example.com"}
        accented = await client.get("/api/things", headers={"X-User-Email": "jörg@example.com".encode()})
        assert accented.json() == {"email": "jörg@example.com"}
        assert (await client.get("/api/things")).json() == {"email": "dev@pavo.localhost"}
        assert (await client.get("/me_v2")).json() == {"email": None}
        odd = await client.get("/me_v2", headers={"X-User-Id": "7"})
        assert (odd.status_code, odd.json()["field"]) == (422, "X-User-Id")
        latin = await client.get("/me_v2", headers={"X-User-Email": b"\xe4@b"})
        assert (latin.status_code, latin.json()["field"]) == (422, "X-User-Email")


async def test_a_dev_stream_asks_for_nobody(dev_app: FastAPI) -> None:
    async with browser(dev_app) as client:
        assert (await client.get("/tasks/7/stream", headers={"X-User-Email": "ada@b"})).json() == {"email": None}


async def test_dev_sessions(dev_app: FastAPI) -> None:
    async with browser(dev_app, Origin="http://localhost:8000") as client:
        opened = await client.post("/api/session", json={"email": "Eve@Example.com"})
        assert opened.status_code == 200
        assert opened.json()["email"] == "eve@example.com"
        assert (await client.get("/api/session")).json() == opened.json()
        assert opened.json()["auth"] == "dev"
        by_header = await client.get("/api/things", headers={"X-User-Email": "ada@example.com"})
        assert by_header.json() == {"email": "ada@example.com"}
        assert (await client.delete("/api/session")).status_code == 204
        assert (await client.get("/api/session")).json()["email"] == "dev@pavo.localhost"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
async def test_a_foreign_page_is_refused_with_a_reason(dev_app: FastAPI, method: str, headers: dict[str, str]) -> None:
    async with browser(dev_app) as client:
        refused = await client.request(method, "/api/things", headers=headers)
    assert refused.status_code == 403
    assert refused.headers["content-type"] == PROBLEM_JSON
    assert "access-control-allow-origin" not in refused.headers
    if method != "HEAD":
        assert refused.json()["code"] == "Forbidden"
        assert refused.json()["status"] == 403


async def test_two_hosts_or_origins_are_refused(dev_app: FastAPI) -> None:
    for name in (b"host", b"origin"):
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/things",
            "scheme": "http",
            "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost"), (name, b"evil.example")],
        }

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await BrowserGuard(dev_app, HttpSettings.model_validate({}))(scope, None, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 403


async def test_a_page_from_disk_may_read_the_answers(database: Database) -> None:
    app = application(database, auth="dev", allow_file_origin=True)
    async with browser(app, Origin="null") as client:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-user-id,content-type,last-event-id,idempotency-key",
            "Access-Control-Request-Private-Network": "true",
        }
        preflight = await client.options("/api/things", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "null"
        assert preflight.headers["access-control-allow-private-network"] == "true"
        assert "access-control-allow-credentials" not in preflight.headers
        allowed = preflight.headers["access-control-allow-headers"].lower()
        assert all(name in allowed for name in asked["Access-Control-Request-Headers"].split(","))
        for path in ("/api/things", "/tasks/7/stream"):
            answer = await client.get(path, headers={"X-User-Email": "ada@example.com"})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "null")
        failed = await client.get("/me_v2", headers={"X-User-Id": "7"})
        assert failed.headers["access-control-allow-origin"] == "null"


async def test_token_mode_ignores_identity_headers(token_app: FastAPI) -> None:
    headers = {"X-User-Email": "ada@example.com", "X-User-Id": str(uuid.uuid4())}
    async with browser(token_app, "https://pavo.example", **headers) as client:
        for path in ("/api/things", "/tasks/7/stream", "/api/session"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "NotAuthenticated")
            assert refused.json()["auth"] == "token"
        assert (await client.get("/me_v2")).json() == {"email": None}


async def test_bearer_tokens(token_app: FastAPI) -> None:
    email, secret = await new_token(token_app)
    async with browser(token_app, "https://pavo.example") as client:
        for scheme in ("Bearer", "bearer"):
            answer = await client.post("/api/things", headers={"Authorization": f"{scheme} {secret}"})
            assert answer.json() == {"email": email}
        for value in (f"Bearer {secret}x", "Bearer ", f"Basic {secret}", secret):
            refused = await client.get("/api/things", headers={"Authorization": value})
            assert refused.status_code == 401


async def test_a_session_for_a_token(token_app: FastAPI) -> None:
    email, secret = await new_token(token_app)
    own = {"Origin": "https://pavo.example"}
    async with browser(token_app, "https://pavo.example") as client:
        opened = await client.post("/api/session", json={"token": secret}, headers=own)
        assert opened.json()["email"] == email
        cookie = opened.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=lax", "secure", "path=/", "max-age=43200"))
        assert secret.lower() not in cookie
        assert (await client.get("/tasks/7/stream")).json() == {"email": email}
        assert (await client.post("/api/things", headers=own)).json() == {"email": email}
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            forged = await client.post("/api/things", headers=origin)
            assert (forged.status_code, forged.json()["field"]) == (403, "Origin")
        await token_app.state.accounts.revoke_token(secret[:11])
        assert (await client.get("/api/things")).status_code == 401


async def test_a_bad_bearer_does_not_fall_back_to_the_cookie(token_app: FastAPI) -> None:
    _, secret = await new_token(token_app)
    async with browser(token_app, "https://pavo.example", Origin="https://pavo.example") as client:
        await client.post("/api/session", json={"token": secret})
        # Otherwise a worthless bearer would let a foreign page's write pass the check of Origin and ride the cookie.
        refused = await client.post(
            "/api/things", headers={"Authorization": "Bearer x", "Origin": "https://evil.example"}
        )
        assert refused.status_code == 401


async def test_two_authorization_headers_are_read_as_one(token_app: FastAPI) -> None:
    """The guard must not see a bearer that the look-up of the identity does not: the cookie would answer instead."""
    _, secret = await new_token(token_app)
    async with browser(token_app, "https://pavo.example", Origin="https://pavo.example") as client:
        await client.post("/api/session", json={"token": secret})
        foreign = [("Authorization", "Basic x"), ("Authorization", "Bearer y"), ("Origin", "https://evil.example")]
        del client.headers["Origin"]
        forged = await client.post("/api/things", headers=foreign)
        assert (forged.status_code, forged.json()["field"]) == (403, "Origin")
        worthless = await client.post("/api/things", headers=[foreign[1], foreign[0], foreign[2]])
        assert worthless.status_code == 401


async def test_what_opens_no_session(token_app: FastAPI) -> None:
    async with browser(token_app, "https://pavo.example", Origin="https://pavo.example") as client:
        for body, status in (
            ({"token": "pavo_wrong"}, 401),
            ({"token": ""}, 401),
            ({"email": "ada@example.com"}, 401),
            ({}, 422),
            ({"token": "x", "email": "ada@example.com"}, 422),
            ({"token": "x" * 1000}, 422),
            ({"token": 7}, 422),
        ):
            refused = await client.post("/api/session", json=body)
            assert refused.status_code == status
            assert "set-cookie" not in refused.headers


async def test_the_cookie_of_a_clear_connection_is_not_secure(token_app: FastAPI) -> None:
    _, secret = await new_token(token_app)
    async with browser(token_app, "http://pavo.internal", Origin="http://pavo.internal") as client:
        opened = await client.post("/api/session", json={"token": secret})
        assert "secure" not in opened.headers["set-cookie"].lower()
        behind_tls = await client.post(
            "/api/session", json={"token": secret}, headers={"Origin": "https://pavo.internal"}
        )
        assert "secure" in behind_tls.headers["set-cookie"].lower()


async def test_cors_by_allow_list(token_app: FastAPI) -> None:
    _, secret = await new_token(token_app)
    async with browser(token_app, "https://pavo.example", Authorization=f"Bearer {secret}") as client:
        allowed = await client.get("/api/things", headers={"Origin": "https://app.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert allowed.headers["access-control-allow-credentials"] == "true"
        assert allowed.headers["vary"] == "Origin"
        preflight = await client.options("/api/things", headers={"Origin": "https://app.example"})
        assert preflight.status_code == 204
        other = await client.get("/api/things", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert (await client.options("/api/things", headers={"Origin": "https://evil.example"})).status_code == 403


async def test_an_organisations_people_share_and_others_do_not(dev_app: FastAPI) -> None:
    accounts: AccountsService = dev_app.state.accounts
    names = [f"{uuid.uuid4().hex}@example.com" for _ in range(3)]
    ada = await accounts.first_sight(names[0])
    await accounts.invite(ada.organisation_id, names[1])
    async with browser(dev_app) as client:
        homes = [
            (await client.get("/api/session", headers={"X-User-Email": name})).json()["organisation_id"]
            for name in names
        ]
    assert homes[0] == homes[1] == str(ada.organisation_id)
    assert homes[2] != homes[0]
