"""Addresses, ids and secrets."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.accounts import domain
from pavo.errors import InvalidInput


@pytest.mark.parametrize(
    ("given_", "stored"),
    [("Ada@Example.COM", "ada@example.com"), (" a@b ", "a@b"), ("a+b@c.d", "a+b@c.d"), ("jörg@exämple.de",) * 2],
)
def test_an_address_has_one_spelling(given_: str, stored: str) -> None:
    assert domain.normal_email(given_) == stored


@pytest.mark.parametrize(
    "text",
    ["", " ", "ada", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@b\0c", "a\x1b@b", "a@b c", "x" * 65 + "@y",
     "a@" + "b" * 253, "a@b\u202ec", "a@\ud800"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    if text == "a@b\n":  # white space around an address is no part of it
        assert domain.normal_email(text) == "a@b"
        return
    with pytest.raises(InvalidInput) as refused:
        domain.normal_email(text, field="X-User-Email")
    assert refused.value.field == "X-User-Email"


@given(st.text(max_size=300))
def test_an_accepted_address_is_stored_as_it_is_read_again(text: str) -> None:
    try:
        address = domain.normal_email(text)
    except InvalidInput:
        return
    assert domain.normal_email(address) == address
    assert len(address) <= domain.MAX_EMAIL
    assert "\0" not in address
    address.encode()


@pytest.mark.parametrize("text", ["", "1", "x" * 36, "{018f4e9c-6b1a-7c3d-9e2f-5a6b7c8d9e0f}", "\0" * 36])
def test_what_is_no_user_id(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        domain.parse_user_id(text)
    assert refused.value.field == "X-User-Id"


def test_user_ids_and_their_addresses() -> None:
    user_id = uuid.uuid4()
    assert domain.parse_user_id(str(user_id).upper()) == user_id
    assert domain.normal_email(domain.synthetic_email(user_id)) == domain.synthetic_email(user_id)


def test_secrets_differ_and_only_their_hash_is_comparable() -> None:
    made = {domain.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith(domain.TOKEN_PREFIX) and len(secret) == 48 for secret in made)
    assert len({domain.hash_secret(secret) for secret in made}) == 100
