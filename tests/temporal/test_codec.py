"""Payload encryption and the translation of Temporal's errors."""

import base64
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.service import RPCError, RPCStatusCode

from pavo.config import TemporalSettings
from pavo.errors import ConfigurationError, Unavailable
from pavo.kit.ids import key_id
from pavo.temporal.client import connect, data_converter
from pavo.temporal.codec import ENCODING, KEY_ID, EncryptingCodec, UnknownKey
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
    with pytest.raises(UnknownKey) as lacking:
        await EncryptingCodec(old).decode([fresh])
    assert key_id(new).hex() in str(lacking.value) and "PAVO_TEMPORAL_CODEC_FORMER_KEYS" in str(lacking.value)


async def test_a_payload_names_its_key_and_the_name_decides() -> None:
    old, new = os.urandom(32), os.urandom(32)
    codec = EncryptingCodec(new, [old])
    (sealed,) = await codec.encode([PLAIN])
    assert dict(sealed.metadata) == {"encoding": ENCODING, KEY_ID: key_id(new).hex().encode()}
    sealed.metadata[KEY_ID] = key_id(old).hex().encode()
    with pytest.raises(UnknownKey, match=f"names the key {key_id(old).hex()}, .* or it was changed"):
        await codec.decode([sealed])
    for named in (b"", b"\xff\n" * 1_000, key_id(os.urandom(32)).hex().encode()):
        sealed.metadata[KEY_ID] = named
        with pytest.raises(UnknownKey) as lacking:
            await codec.decode([sealed])
        said = str(lacking.value)
        assert "which this process lacks" in said and said.isprintable() and len(said) < 200


async def test_before_and_after_names_of_keys_both_read_both() -> None:
    """A rollout has workers of both, and histories are older than either."""
    old, new = os.urandom(32), os.urandom(32)
    (named,) = await EncryptingCodec(new).encode([PLAIN])
    nonce, data = named.data[:12], named.data[12:]
    assert AESGCM(new).decrypt(nonce, data, b"binary/encrypted") == PLAIN.SerializeToString(), "as older workers read"
    sealed = nonce + AESGCM(old).encrypt(nonce, PLAIN.SerializeToString(), b"binary/encrypted")
    nameless = Payload(metadata={"encoding": b"binary/encrypted"}, data=sealed)
    assert await EncryptingCodec(new, [old]).decode([nameless, named]) == [PLAIN, PLAIN]
    with pytest.raises(UnknownKey, match="PAVO_TEMPORAL_CODEC_FORMER_KEYS"):
        await EncryptingCodec(new).decode([nameless])


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
