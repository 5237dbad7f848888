"""Caller: whose key is this?

From memory when the key has been seen; a key with a typo is told apart from an unknown one
without any look-up. What the key may do is its `gateway.policy.Policy`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from accounts.keys import MalformedKey, check_format, hmac_of
from gateway.clock import own_now
from gateway.errors import InvalidApiKey
from gateway.policy import Policy
from gateway.policy_store import PolicyStore

# Which header wins when a request carries several keys: contract, decision 3.
PLAIN_KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")

Headers = Mapping[bytes, bytes]


class Callers:
    """Finds the policy of a request's key."""

    def __init__(
        self, policies: PolicyStore, *, key_pepper: bytes, clock: Callable[[], datetime] = own_now
    ) -> None:
        self._policies = policies
        self._clock = clock
        self._pepper = key_pepper

    async def identify(self, headers: Headers) -> Policy:
        """The caller's policy.

        Raises InvalidApiKey (401) for a missing, mistyped, unknown, revoked or expired key, each with
        its own message, and TemporarilyUnavailable (503) when an unseen key cannot be looked up.
        """
        secret = presented_key(headers)
        try:
            check_format(secret)
        except MalformedKey as exc:
            raise InvalidApiKey.malformed(str(exc)) from exc
        policy = await self._policies.find(hmac_of(secret, self._pepper))
        if policy is None or not policy.is_organization_active:
            raise InvalidApiKey.unknown()
        if policy.revoked_at is not None:
            raise InvalidApiKey.revoked()
        if policy.expires_at is not None and policy.expires_at <= self._clock():
            raise InvalidApiKey.expired()
        return policy


def presented_key(headers: Headers) -> str:
    """The key a request carries. Raises InvalidApiKey when there is none or it is not text."""
    value = headers.get(b"x-bf-vk") or _bearer(headers)
    for name in PLAIN_KEY_HEADERS:
        value = value or headers.get(name, b"").strip()
    if not value:
        raise InvalidApiKey.missing()
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as exc:
        raise InvalidApiKey.malformed("A key consists of ASCII letters and digits.") from exc


def _bearer(headers: Headers) -> bytes:
    scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    return value.strip() if scheme.lower() == b"bearer" else b""
