"""Sealing what must not be read in the database: AES-256-GCM, by a ring of keys of the deployment's.

A sealed value is one byte (the format), six bytes that name the key, a random nonce of twelve bytes, and the
ciphertext with its tag. Format, key, organisation and name are bound as associated data: a value that is copied into
another organisation's row, or under another name, does not open.
"""

import base64
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pavo.config import SealingSettings
from pavo.errors import ConfigurationError, Conflict, Unavailable
from pavo.kit.ids import KEY_ID_BYTES, key_id

KEY: Final = "PAVO_SEALING_KEY"
FORMER_KEYS: Final = "PAVO_SEALING_FORMER_KEYS"
FORMAT: Final = b"\x01"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
HEAD_BYTES: Final = len(FORMAT) + KEY_ID_BYTES


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """The keys of a deployment: one that seals, and others that open what they sealed once. Build it with `of`."""

    sealing: bytes | None
    """Its id; None: this deployment has no key."""
    keys: Mapping[bytes, bytes]
    """By id."""

    @classmethod
    def of(cls, settings: SealingSettings) -> "KeyRing":
        """The ring that the settings describe.

        Raises:
            ConfigurationError: a key is none.
        """
        key = _keys(KEY, settings.key.get_secret_value() if settings.key else "")
        former = _keys(FORMER_KEYS, settings.former_keys.get_secret_value() if settings.former_keys else "")
        if len(key) > 1:
            raise _no_key(KEY, "there are several")
        ids = [key_id(each) for each in key]
        return cls(ids[0] if ids else None, {key_id(each): each for each in (*former, *key)})

    @property
    def head(self) -> bytes:
        """What all values begin with that are sealed now.

        Raises:
            Conflict: this deployment has no key.
        """
        if self.sealing is None:
            raise Conflict(
                "This deployment has no key that seals secrets.",
                field=KEY,
                remedy=f"Set {KEY} for the API and the workers to the Base64 of 32 random bytes: openssl rand -base64 "
                "32. pavo up and pavo deploy start make one by themselves.",
            )
        return FORMAT + self.sealing


def seal(ring: KeyRing, organisation_id: uuid.UUID, name: str, value: str) -> bytes:
    """The value, readable by `open_sealed` alone, for the same organisation and name.

    Raises:
        Conflict: this deployment has no key.
    """
    head, nonce = ring.head, os.urandom(NONCE_BYTES)
    bound = _bound(head, organisation_id, name)
    return head + nonce + AESGCM(ring.keys[head[len(FORMAT) :]]).encrypt(nonce, value.encode(), bound)


def open_sealed(ring: KeyRing, organisation_id: uuid.UUID, name: str, sealed: bytes) -> str:
    """What was sealed for this organisation under this name.

    Raises:
        Unavailable: the ring lacks its key, or it is another one's, or it was changed.
    """
    head, nonce = sealed[:HEAD_BYTES], sealed[HEAD_BYTES : HEAD_BYTES + NONCE_BYTES]
    key = ring.keys.get(head[len(FORMAT) :]) if head.startswith(FORMAT) else None
    if key is None:
        named = head[len(FORMAT) :].hex() or "none"
        raise _sealed(name, f"the key {named} is not here", f"Give this process that key, in {FORMER_KEYS}.")
    try:
        opened = AESGCM(key).decrypt(nonce, sealed[HEAD_BYTES + NONCE_BYTES :], _bound(head, organisation_id, name))
    except (InvalidTag, ValueError) as error:
        raise _sealed(name, "its row was changed, or is that of another secret", "Set it anew.") from error
    return opened.decode()


def _bound(head: bytes, organisation_id: uuid.UUID, name: str) -> bytes:
    return head + organisation_id.bytes + name.encode()


def _sealed(name: str, why: str, remedy: str) -> Unavailable:
    return Unavailable(f"The secret {name!r} cannot be opened: {why}.", dependency="secrets", remedy=remedy)


def _keys(variable: str, texts: str) -> list[bytes]:
    found: list[bytes] = []
    for text in filter(None, (each.strip() for each in texts.split(","))):
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise _no_key(variable, "it is no Base64") from error
        if len(key) != KEY_BYTES:
            raise _no_key(variable, f"it has {len(key)} bytes instead of {KEY_BYTES}")
        found.append(key)
    return found


def _no_key(variable: str, why: str) -> ConfigurationError:
    remedy = "Set it to the Base64 of 32 random bytes: openssl rand -base64 32"
    return ConfigurationError(f"{variable} is no key: {why}.", field=variable, remedy=remedy)
