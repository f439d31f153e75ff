"""Encrypts every payload that Temporal stores."""

import os
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from pavo.kit.ids import KEY_ID_BYTES, key_id

ENCODING: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
"""Where a payload's metadata name its key, in hexadecimal digits, so that Temporal's UI shows them. Payloads of before
key ids have none; codecs of before them do not look there."""
NONCE_BYTES: Final = 12
FORMER_KEYS: Final = "PAVO_TEMPORAL_CODEC_FORMER_KEYS"


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce before each ciphertext.

    Args:
        former: keys of before, for reading alone.

    Raises:
        ValueError: a key has not 32 bytes.
    """

    def __init__(self, key: bytes, former: Sequence[bytes] = ()) -> None:
        for each in (key, *former):
            if len(each) != 32:
                raise ValueError(f"the key has {len(each)} bytes instead of 32")
        self._own = _named(key)
        self._readers = {_named(each): AESGCM(each) for each in (key, *former)}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what this codec encrypted; leave the rest.

        Raises:
            UnknownKey: it lacks the key of a payload, or the payload was changed.
        """
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        data = nonce + self._readers[self._own].encrypt(nonce, payload.SerializeToString(), ENCODING)
        return Payload(metadata={"encoding": ENCODING, KEY_ID: self._own}, data=data)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        named = payload.metadata.get(KEY_ID)
        if named is None:
            opened = _opened(payload, self._readers.values())
            why = f"Neither PAVO_TEMPORAL_CODEC_KEY nor a former key ({FORMER_KEYS}) has encrypted this"
        elif named in self._readers:
            opened = _opened(payload, [self._readers[named]])
            why = f"It names the key {_shown(named)}, which has not encrypted this"
        else:
            raise UnknownKey(
                f"This is encrypted with the key {_shown(named)}, which this process lacks. Give it that key, in "
                f"{FORMER_KEYS}."
            )
        if opened is None:
            raise UnknownKey(f"{why}, or it was changed.")
        return opened


class UnknownKey(InvalidTag):
    """A payload cannot be read. Remedy: PAVO_TEMPORAL_CODEC_FORMER_KEYS must have the key that encrypted it."""


def _named(key: bytes) -> bytes:
    return key_id(key).hex().encode()


def _shown(named: bytes) -> str:
    """An id, which anybody may have written, for people: no more than one of ours is long."""
    shown = named[: 2 * KEY_ID_BYTES].decode("ascii", "replace")
    return shown if shown.isalnum() else ascii(shown)


def _opened(payload: Payload, readers: Iterable[AESGCM]) -> Payload | None:
    nonce, data = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
    for reader in readers if len(nonce) == NONCE_BYTES else ():
        try:
            return Payload.FromString(reader.decrypt(nonce, data, ENCODING))
        except InvalidTag:
            continue
    return None
