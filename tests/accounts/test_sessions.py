"""Session cookies."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from pavo.accounts.domain import Session
from pavo.accounts.service import AccountsService
from pavo.accounts.sessions import SESSION_SECONDS, SessionSigner
from pavo.config import HttpSettings
from pavo.kit.sql import Database
from tests.clock import Clock

SECRET = "a secret of more than thirty-two characters"
SESSION = Session(uuid.uuid4(), uuid.uuid4())
AT = datetime.now(UTC).replace(microsecond=0)
GOOD = {"sub": str(uuid.uuid4()), "tid": str(uuid.uuid4())}


def test_a_cookie_says_who_it_is() -> None:
    signer = SessionSigner(SECRET, "token")
    assert signer.read(signer.write(SESSION, AT)) == SESSION
    assert SessionSigner(SECRET, "token").read(signer.write(SESSION, AT)) == SESSION


def test_another_key_or_mode_reads_nothing() -> None:
    cookie = SessionSigner(SECRET, "dev").write(SESSION, AT)
    assert SessionSigner(SECRET, "token").read(cookie) is None
    assert SessionSigner(SECRET + "!", "dev").read(cookie) is None


def test_in_token_mode_a_session_belongs_to_a_token() -> None:
    signer = SessionSigner(SECRET, "token")
    assert signer.read(signer.write(Session(uuid.uuid4(), None), AT)) is None


def test_a_cookie_says_when_it_ends() -> None:
    """And leaves it to PostgreSQL's clock whether that is over."""
    signer = SessionSigner(SECRET, "token")
    for at in (AT, AT - timedelta(days=30), AT + timedelta(days=30)):
        read = signer.read(signer.write(SESSION, at))
        assert read and read.until == at + timedelta(seconds=SESSION_SECONDS)


@pytest.mark.parametrize("mode", ["dev", "token"])
async def test_a_session_begins_and_ends_by_the_one_clock(database: Database, clock: Clock, mode: str) -> None:
    settings = HttpSettings.model_validate({"auth": mode, "secret_key": SECRET})
    accounts, email = AccountsService(database, settings), f"{uuid.uuid4().hex}@example.com"

    async def opened() -> str:
        if mode == "dev":
            return (await accounts.open_dev_session(email))[1]
        return (await accounts.open_session((await accounts.create_token(email, "for sessions")).secret))[1]

    async def holds(cookie: str) -> bool:
        """Asked of a service that remembers nothing."""
        return await AccountsService(database, settings).identify_session(cookie) is not None

    before = await opened()
    assert await holds(before)
    await clock.forward(timedelta(seconds=SESSION_SECONDS - 2))
    assert await accounts.identify_session(before), "it has two seconds"
    await clock.forward(timedelta(seconds=3))
    assert not await holds(before)
    assert await accounts.identify_session(before) is None, "nobody remembers one that ends within seconds"
    after = await opened()
    await clock.forward(timedelta(seconds=SESSION_SECONDS - 60))
    assert await holds(after), "it began when PostgreSQL says"
    await clock.back()
    assert await holds(after), "a clock that was set back makes no cookie invalid"


def test_an_unsigned_cookie_is_nothing() -> None:
    signer = SessionSigner(SECRET, "token")
    head, payload, _ = signer.write(SESSION, AT).split(".")
    none = "eyJhbGciOiJub25lIn0"
    for forged in (f"{none}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}.AAAA"):
        assert signer.read(forged) is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": 1},
        {"sub": "x"},
        {"sub": str(uuid.uuid4()), "tid": 7},
        GOOD | {"exp": "x"},
        GOOD | {"exp": True},
        GOOD | {"exp": None},
        GOOD | {"exp": 1e300},
    ],
)
def test_odd_claims_under_the_right_key_are_nothing(claims: dict[str, object]) -> None:
    signer = SessionSigner(SECRET, "token")
    key: OctKey = signer._key  # pyright: ignore[reportPrivateUsage]
    cookie = jwt.encode({"alg": "HS256"}, {"aud": "token", "exp": int(AT.timestamp()) + 60, **claims}, key)
    assert signer.read(cookie) is None


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert SessionSigner(SECRET, "token").read(text) is None
