"""Payload encryption and the translation of Temporal's errors."""

import base64
import os

import pytest
from cryptography.exceptions import InvalidTag
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.service import RPCError, RPCStatusCode

from pavo.config import TemporalSettings
from pavo.errors import ConfigurationError, Unavailable
from pavo.temporal.client import connect, data_converter
from pavo.temporal.codec import EncryptingCodec
from pavo.temporal.failures import NoSuchRun, translated

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"plan": "secret"}')


async def test_payloads_are_sealed_and_opened() -> None:
    codec = EncryptingCodec(os.urandom(32))
    first, second = await codec.encode([PLAIN, PLAIN])
    assert b"secret" not in first.data and first.data != second.data
    assert await codec.decode([first, second, PLAIN]) == [PLAIN, PLAIN, PLAIN]


async def test_a_changed_payload_or_another_key_opens_nothing() -> None:
    codec = EncryptingCodec(os.urandom(32))
    (sealed,) = await codec.encode([PLAIN])
    with pytest.raises(InvalidTag):
        await EncryptingCodec(os.urandom(32)).decode([sealed])
    sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    with pytest.raises(InvalidTag):
        await codec.decode([sealed])


async def test_a_former_key_reads_and_never_writes() -> None:
    old, new = os.urandom(32), os.urandom(32)
    (sealed,) = await EncryptingCodec(old).encode([PLAIN])
    rotated = EncryptingCodec(new, [os.urandom(32), old])
    assert await rotated.decode([sealed]) == [PLAIN]
    (fresh,) = await rotated.encode([PLAIN])
    assert await EncryptingCodec(new).decode([fresh]) == [PLAIN]
    with pytest.raises(InvalidTag, match="former key"):
        await EncryptingCodec(old).decode([fresh])


def settings(key: str) -> TemporalSettings:
    return TemporalSettings().model_copy(update={"codec_key": SecretStr(key)})


@pytest.mark.parametrize("key", ["?", base64.b64encode(b"short").decode()])
def test_a_wrong_key_is_explained(key: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        data_converter(settings(key))
    assert wrong.value.field == "PAVO_TEMPORAL_CODEC_KEY"


def test_a_right_key_is_used() -> None:
    assert data_converter(settings(base64.b64encode(os.urandom(32)).decode())).payload_codec is not None


async def test_nobody_at_the_address_is_unavailable() -> None:
    with pytest.raises(Unavailable) as away:
        await connect(TemporalSettings().model_copy(update={"address": "127.0.0.1:1"}))
    assert away.value.dependency == "temporal"


def test_errors_are_translated_once() -> None:
    with pytest.raises(NoSuchRun), translated():
        raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
    with pytest.raises(Unavailable), translated():
        raise RPCError("busy", RPCStatusCode.RESOURCE_EXHAUSTED, b"")
