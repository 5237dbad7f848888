"""Who calls the management API: a bearer token of a member, or a signed-in browser with its CSRF token.

`bearer_secret` is shared by every DRF class that reads the Authorization header.
"""

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from accounts.guesses import note_right, note_unknown, seconds_blocked
from accounts.keys import MANAGEMENT_PREFIX, PREFIX
from accounts.models import ManagementToken, Person
from accounts.token_services import find_token, hmac_of_secret, record_token_use

SCHEME = "bearer"
MAX_SECRET_CHARACTERS = 256


def bearer_secret(request: Request) -> str | None:
    """What stands after `Authorization: Bearer`; None without that header. Raises AuthenticationFailed."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return None
    scheme, _, secret = header.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != SCHEME or not secret or len(secret) > MAX_SECRET_CHARACTERS or not secret.isascii():
        raise AuthenticationFailed("Send the header 'Authorization: Bearer <token>'.")
    return secret


class ManagementTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer fbm_…`; `request.auth` is the token."""

    def authenticate(self, request: Request) -> tuple[Person, ManagementToken] | None:
        secret = bearer_secret(request)
        if secret is None:
            return None
        if secret.startswith(PREFIX):
            raise AuthenticationFailed(
                f"This is an API key for models; the management API takes a token, {MANAGEMENT_PREFIX}…."
            )
        address, secret_hmac = str(request.META.get("REMOTE_ADDR", "")), hmac_of_secret(secret)
        blocked_seconds = seconds_blocked(address, secret_hmac)
        if blocked_seconds:
            raise Throttled(blocked_seconds, "Too many tokens from this address do not exist.")
        token = find_token(secret_hmac) if secret.startswith(MANAGEMENT_PREFIX) else None
        if token is None or not token.membership.person.is_active:
            note_unknown(address)
            raise AuthenticationFailed("There is no such token.")
        if token.revoked_at is not None:
            raise AuthenticationFailed("This token has been revoked; create another one.")
        if token.expires_at is not None and token.expires_at <= timezone.now():
            raise AuthenticationFailed("This token has expired; create another one.")
        note_right(secret_hmac)
        record_token_use(token=token)
        return token.membership.person, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BrowserAuthentication(SessionAuthentication):
    """The session of the pages; a write needs the header `X-CSRFToken`."""
