"""Caller: whose key is this?

From memory when the key has been seen; a key with a typo is told apart from an unknown one
without any look-up. What the key may do is its `gateway.policy.Policy`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from accounts import keys
from accounts.keys import MalformedKey, check_format, hmac_of
from accounts.networks import Network, caller_address, may_come_from
from gateway.clock import own_now
from gateway.errors import InvalidApiKey, IpBlocked
from gateway.policy import Policy
from gateway.policy_store import PolicyStore

# Which header wins when a request carries several keys: contract, decision 3.
FIRST_KEY_HEADER = keys.FIRST_KEY_HEADER.encode()
PLAIN_KEY_HEADERS = tuple(name.encode() for name in keys.PLAIN_KEY_HEADERS)
FORWARDED_HEADER = b"x-forwarded-for"

Headers = Mapping[bytes, bytes]


class Callers:
    """Finds the policy of a request's key."""

    def __init__(
        self,
        policies: PolicyStore,
        *,
        key_pepper: bytes,
        clock: Callable[[], datetime] = own_now,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._policies = policies
        self._clock = clock
        self._pepper = key_pepper
        self._proxies = proxies

    async def identify(self, headers: Headers, *, peer: str) -> Policy:
        """The policy of the caller, who is connected from the address `peer`.

        Raises InvalidApiKey (401) for a missing, mistyped, unknown, revoked or expired key, each with
        its own message, IpBlocked (403) for one that may not be used from there, and
        TemporarilyUnavailable (503) when an unseen key cannot be looked up.
        """
        secret = presented_key(headers)
        hashed = hmac_of(secret, self._pepper)
        policy = self._policies.remembered(hashed)
        if policy is None:
            # Whatever is remembered has been checked.
            try:
                check_format(secret)
            except MalformedKey as exc:
                raise InvalidApiKey.malformed(str(exc)) from exc
            policy = await self._policies.find(hashed)
        if policy is None or not policy.is_organization_active:
            raise InvalidApiKey.unknown()
        if policy.revoked_at is not None:
            raise InvalidApiKey.revoked()
        if policy.expires_at is not None and policy.expires_at <= self._clock():
            raise InvalidApiKey.expired()
        if policy.allowed_networks is not None:
            self._check_place(policy.allowed_networks, peer, headers)
        return policy

    def _check_place(self, allowed: tuple[str, ...], peer: str, headers: Headers) -> None:
        forwarded = headers.get(FORWARDED_HEADER, b"").decode("latin-1")
        address = caller_address(peer, forwarded, self._proxies)
        if not may_come_from(address, allowed):
            raise IpBlocked(f"This key may not be used from {address or 'an unknown address'}.")


def presented_key(headers: Headers) -> str:
    """The key a request carries. Raises InvalidApiKey when there is none or it is not text."""
    value = headers.get(FIRST_KEY_HEADER) or _bearer(headers)
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
