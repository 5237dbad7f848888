"""Sealing of what is stored in secret: provider credentials, prompts and answers.

Pure. Each organization has a data key, stored wrapped by the master key. What is sealed names
its organization and its place, so that a row moved to another tenant or column cannot be opened.
Rows of the operator, who has no organization, are sealed with a key derived from the master key.
"""

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = b"\x01"
WRAPPING_CONTEXT = "data key"


class SealBroken(Exception):
    """The sealed bytes were altered, moved, or sealed with another key."""


class DataKey:
    """Seals and opens the values of one organization, or of the operator."""

    __slots__ = ("_cipher", "_owner")

    def __init__(self, key: bytes, *, owner: str) -> None:
        self._cipher = AESGCM(key)
        self._owner = owner

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """The sealed value; `context` names its place, such as `provider_connection:<id>`."""
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._cipher.encrypt(nonce, plain, self._bound_to(context))

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """The value that was sealed for this owner and context; raises SealBroken."""
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != FORMAT or len(nonce) < NONCE_BYTES:
            raise SealBroken("not a sealed value")
        try:
            return self._cipher.decrypt(nonce, body, self._bound_to(context))
        except InvalidTag as failure:
            raise SealBroken("the seal does not fit this owner and place") from failure

    def _bound_to(self, context: str) -> bytes:
        return f"{self._owner}|{context}".encode()


class Vault:
    """Makes and opens data keys with the master key, which never leaves the process."""

    __slots__ = ("_master_key",)

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise ValueError(f"the master key must have {KEY_BYTES} bytes")
        self._master_key = master_key

    def new_data_key(self, organization_id: UUID) -> bytes:
        """A fresh data key, wrapped: what an organization's row stores."""
        return self._wrapping(organization_id).encrypt(os.urandom(KEY_BYTES), context=WRAPPING_CONTEXT)

    def unwrap(self, wrapped: bytes, organization_id: UUID) -> DataKey:
        """The organization's data key; raises SealBroken if it is another organization's."""
        key = self._wrapping(organization_id).decrypt(wrapped, context=WRAPPING_CONTEXT)
        return DataKey(key, owner=organization_id.hex)

    def operator_key(self) -> DataKey:
        """The data key of rows that belong to no organization."""
        key = hmac.digest(self._master_key, b"farebox operator data key", hashlib.sha256)
        return DataKey(key, owner="operator")

    def _wrapping(self, organization_id: UUID) -> DataKey:
        return DataKey(self._master_key, owner=organization_id.hex)
