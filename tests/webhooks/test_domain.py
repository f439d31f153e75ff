"""Addresses, signatures and delays."""

import pytest

from pavo.config import parse_networks
from pavo.errors import InvalidInput
from pavo.kit.outgoing.addresses import is_allowed, is_public
from pavo.webhooks.domain import DELAYS, REST, delay, new_secret, parse_url, signature

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_what_an_operator_allows_is_allowed_in_every_spelling() -> None:
    allowed = parse_networks("10.0.0.0/8, fd00::/8")
    assert is_allowed("10.1.2.3", allowed) and is_allowed("::ffff:10.1.2.3", allowed) and is_allowed("fd00::1", allowed)
    assert not is_allowed("127.0.0.1", allowed) and not is_allowed("8.8.8.8", ())


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the standard's own libraries."""
    found = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_long_and_different() -> None:
    assert len({new_secret() for _ in range(10)}) == 10
    assert len(new_secret()) == len("whsec_") + 44


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/x",
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://example.com/#x",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com/\r\nX-Evil: 1",
        "https://exämple.com/",
        "https://[::1/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_address_of_a_receiver(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_url(url, plain_http=False)
    assert refused.value.field == "url" and refused.value.remedy


def test_delays_grow_and_a_receiver_may_ask_for_longer_ones() -> None:
    for steps in (DELAYS, REST):
        found = [delay(failures, steps) for failures in range(1, 20)]
        assert found[0] < steps[0] * 1.3 and steps[-1] * 0.8 <= found[-1] <= steps[-1] * 1.2
    assert 60 <= delay(1, DELAYS, 60.0) <= 72 and delay(1, DELAYS, 10.0**6) == 3600
