"""Management tokens: made and revoked by the person they act for, found by their secret.

A token has the role of its person at the moment of each request, and no more than its own scope.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import rules
from accounts.audit_log import record_action
from accounts.errors import TokenRefused
from accounts.keys import MANAGEMENT_PREFIX, hmac_of, new_secret
from accounts.models import AuditEntry, ManagementToken, Membership, Organization

MAX_LIVING_TOKENS = 50
# `last_used_at` is as exact as this; more would be a write for each read.
USE_RECORDED_SECONDS = 60


@transaction.atomic
def issue_management_token(
    *, membership: Membership, name: str, scope: str, expires_at: datetime | None
) -> tuple[ManagementToken, str]:
    """A new token of the member and its secret, which nothing can show a second time.

    Raises NameMissing, WrongLimit and TokenRefused.
    """
    rules.check_expiry(expires_at)
    if scope not in ManagementToken.Scope.values:
        raise TokenRefused(f"scope must be one of {', '.join(ManagementToken.Scope.values)}.")
    Organization.objects.select_for_update(no_key=True).get(pk=membership.organization_id)
    if living(membership).count() >= MAX_LIVING_TOKENS:
        raise TokenRefused(f"A person has at most {MAX_LIVING_TOKENS} tokens; revoke one first.")
    secret = new_secret(MANAGEMENT_PREFIX)
    token = ManagementToken.objects.create(
        membership=membership,
        name=rules.checked_name(name),
        secret_hmac=hmac_of_secret(secret),
        pepper_id=settings.FAREBOX_KEY_PEPPER_ID,
        last_four=secret[-4:],
        scope=scope,
        expires_at=expires_at,
    )
    _record(token, "token.create")
    return token, secret


@transaction.atomic
def revoke_management_token(*, token: ManagementToken) -> None:
    """End the token at once; revoking it again changes nothing."""
    if ManagementToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        _record(token, "token.revoke")


def living(membership: Membership) -> QuerySet[ManagementToken]:
    """Those of the member's tokens that are neither revoked nor expired."""
    now = timezone.now()
    is_current = Q(expires_at=None) | Q(expires_at__gt=now)
    return ManagementToken.objects.filter(is_current, membership=membership, revoked_at=None)


def hmac_of_secret(secret: str) -> bytes:
    """What is stored of a token's secret."""
    return hmac_of(secret, settings.FAREBOX_KEY_PEPPER)


def find_token(secret_hmac: bytes) -> ManagementToken | None:
    """The token of this secret, living or not, with its person and organization."""
    found = ManagementToken.objects.select_related("membership__person", "membership__organization")
    return found.filter(secret_hmac=secret_hmac).first()


def record_token_use(*, token: ManagementToken) -> None:
    """Move `last_used_at` forward, at most once a minute."""
    now = timezone.now()
    before = now - timedelta(seconds=USE_RECORDED_SECONDS)
    is_stale = Q(last_used_at=None) | Q(last_used_at__lt=before)
    ManagementToken.objects.filter(is_stale, pk=token.pk).update(last_used_at=now)


def _record(token: ManagementToken, action: str) -> None:
    record_action(
        organization=token.membership.organization,
        person=token.membership.person,
        via=AuditEntry.Via.PAGES,
        action=action,
        target=str(token),
        target_id=token.pk,
    )
