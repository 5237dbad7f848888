"""Where django-allauth meets this house: who may sign up, and how links in mails are built.

Signing up creates a person and nothing else; organizations come from `accounts.services`.
"""

from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmationHMAC
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.invitation_views import kept_invitation


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Links lead to the configured address, never to the Host header of a request."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether strangers may come, or this browser has opened the link of an invitation."""
        return settings.FAREBOX_CONSOLE.signup_is_open or kept_invitation(request) is not None

    def clean_email(self, email: str) -> str:
        """Where strangers may not sign up, the invited address alone does."""
        address: str = super().clean_email(email)
        is_signing_up = self.request.resolver_match.url_name == "account_signup"
        if is_signing_up and not settings.FAREBOX_CONSOLE.signup_is_open:
            invitation = kept_invitation(self.request)
            if invitation is None or invitation.email != address.lower():
                raise ValidationError("Use the address that your invitation was sent to.")
        return address

    def get_email_confirmation_url(
        self, request: HttpRequest, emailconfirmation: EmailConfirmationHMAC
    ) -> str:
        return _at_public_url(super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _at_public_url(super().get_reset_password_from_key_url(key))


def _at_public_url(url: str) -> str:
    return f"{settings.FAREBOX_PUBLIC_URL}{urlsplit(url).path}"
