"""Where django-allauth meets this house: who may sign up, and how links in mails are built.

Signing up creates a person and nothing else; organizations come from `accounts.services`.
"""

from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmationHMAC
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Links lead to the configured address, never to the Host header of a request."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.FAREBOX_CONSOLE.signup_is_open)

    def get_email_confirmation_url(
        self, request: HttpRequest, emailconfirmation: EmailConfirmationHMAC
    ) -> str:
        return _at_public_url(super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _at_public_url(super().get_reset_password_from_key_url(key))


def _at_public_url(url: str) -> str:
    return f"{settings.FAREBOX_PUBLIC_URL}{urlsplit(url).path}"
