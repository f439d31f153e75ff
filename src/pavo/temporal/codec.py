"""Encrypts every payload that Temporal stores."""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

ENCODING = b"binary/encrypted"
NONCE_BYTES = 12


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
        self._cipher = AESGCM(key)
        self._readers = [self._cipher, *(AESGCM(each) for each in former)]

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what this codec encrypted; leave the rest."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        data = nonce + self._cipher.encrypt(nonce, payload.SerializeToString(), ENCODING)
        return Payload(metadata={"encoding": ENCODING}, data=data)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        nonce, data = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        for reader in self._readers:
            try:
                return Payload.FromString(reader.decrypt(nonce, data, ENCODING))
            except InvalidTag:
                continue
        raise UnknownKey("Neither PAVO_TEMPORAL_CODEC_KEY nor a former key has encrypted this, or it was changed.")


class UnknownKey(InvalidTag):
    """A payload cannot be read. Remedy: PAVO_TEMPORAL_CODEC_FORMER_KEYS must have the key that encrypted it."""
