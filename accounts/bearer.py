"""Bearer keys on management calls: how Django REST framework learns whose key a request shows.

`request.user` is then an `accounts.tenancy.KeyBearer`: organization, key, role, and the door to the
rows. The data plane identifies keys by itself (`gateway.caller`), by the same headers and rules.
What the calls have in common is `accounts.management`.
"""

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.request import Request

from accounts.guesses import note_right, note_unknown, seconds_blocked
from accounts.keys import (
    EXPIRED,
    FIRST_KEY_HEADER,
    MISSING,
    PLAIN_KEY_HEADERS,
    REVOKED,
    UNKNOWN,
    MalformedKey,
    check_format,
    hmac_of,
)
from accounts.networks import caller_address, may_come_from
from accounts.tenancy import KeyBearer, bearer_of

ELSEWHERE = "This key may not be used from this address."


class BearerAuthentication(BaseAuthentication):
    """Identifies the key; 401 unless it can be used, 429 for an address that guesses keys."""

    def authenticate(self, request: Request) -> tuple[KeyBearer, None]:
        secret = presented_key(request)
        try:
            check_format(secret)
        except MalformedKey as exc:
            raise AuthenticationFailed(f"Invalid API key. {exc}") from exc
        return identify(secret, address=str(request.META.get("REMOTE_ADDR", ""))), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def presented_key(request: Request) -> str:
    """The key a request carries. Raises AuthenticationFailed when there is none or it is not text."""
    value = request.headers.get(FIRST_KEY_HEADER) or _bearer(request)
    for name in PLAIN_KEY_HEADERS:
        value = value or request.headers.get(name, "").strip()
    if not value:
        raise AuthenticationFailed(MISSING)
    return value


def identify(secret: str, *, address: str) -> KeyBearer:
    """Whoever holds this well-formed key; raises AuthenticationFailed, PermissionDenied and Throttled."""
    secret_hmac = hmac_of(secret, settings.FAREBOX_KEY_PEPPER)
    blocked_seconds = seconds_blocked(address, secret_hmac)
    if blocked_seconds:
        raise Throttled(blocked_seconds, "Too many keys from this address do not exist.")
    bearer = bearer_of(secret_hmac)
    if bearer is None or not bearer.organization.is_active:
        note_unknown(address)
        raise AuthenticationFailed(UNKNOWN)
    key = bearer.api_key
    if key.revoked_at is not None:
        raise AuthenticationFailed(REVOKED)
    if key.expires_at is not None and key.expires_at <= timezone.now():
        raise AuthenticationFailed(EXPIRED)
    networks = key.allowed_networks
    if networks is not None and not may_come_from(caller_address(address, "", ()), tuple(networks)):
        raise PermissionDenied(ELSEWHERE, code="ip_blocked")
    note_right(secret_hmac)
    return bearer


def _bearer(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
