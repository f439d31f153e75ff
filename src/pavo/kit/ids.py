"""Identifiers that sort by the time they were made, and ids by which keys are told apart."""

import base64
import hashlib
import os
import time
import uuid
from typing import Final

KEY_ID_BYTES: Final = 6
"""Of the few keys that a deployment ever has, no two have the same."""


def new_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | random_bits
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def key_id(key: bytes) -> bytes:
    """By what a random key is named without being told: the first bytes of the SHA-256 of its Base64."""
    return hashlib.sha256(base64.b64encode(key)).digest()[:KEY_ID_BYTES]
