"""Session cookies."""

import time
import uuid
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from pavo.accounts.domain import Session
from pavo.accounts.sessions import SESSION_SECONDS, SessionSigner

SECRET = "a secret of more than thirty-two characters"
SESSION = Session(uuid.uuid4(), uuid.uuid4())


def test_a_cookie_says_who_it_is() -> None:
    signer = SessionSigner(SECRET, "token")
    assert signer.read(signer.write(SESSION)) == SESSION
    assert SessionSigner(SECRET, "token").read(signer.write(SESSION)) == SESSION


def test_another_key_or_mode_reads_nothing() -> None:
    cookie = SessionSigner(SECRET, "dev").write(SESSION)
    assert SessionSigner(SECRET, "token").read(cookie) is None
    assert SessionSigner(SECRET + "!", "dev").read(cookie) is None


def test_in_token_mode_a_session_belongs_to_a_token() -> None:
    signer = SessionSigner(SECRET, "token")
    assert signer.read(signer.write(Session(uuid.uuid4(), None))) is None


def test_a_cookie_ends() -> None:
    signer = SessionSigner(SECRET, "token")
    long_ago = time.time() - SESSION_SECONDS - 1
    with patch("pavo.accounts.sessions.time.time", return_value=long_ago):
        cookie = signer.write(SESSION)
    assert signer.read(cookie) is None


def test_an_unsigned_cookie_is_nothing() -> None:
    signer = SessionSigner(SECRET, "token")
    head, payload, _ = signer.write(SESSION).split(".")
    none = "eyJhbGciOiJub25lIn0"
    for forged in (f"{none}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}.AAAA"):
        assert signer.read(forged) is None


@pytest.mark.parametrize("claims", [{}, {"sub": 1}, {"sub": "x"}, {"sub": str(uuid.uuid4()), "tid": 7}])
def test_odd_claims_under_the_right_key_are_nothing(claims: dict[str, object]) -> None:
    signer = SessionSigner(SECRET, "token")
    key: OctKey = signer._key  # pyright: ignore[reportPrivateUsage]
    cookie = jwt.encode({"alg": "HS256"}, {"aud": "token", "exp": int(time.time()) + 60, **claims}, key)
    assert signer.read(cookie) is None


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert SessionSigner(SECRET, "token").read(text) is None
