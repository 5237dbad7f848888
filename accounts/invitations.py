"""Invitations: how somebody with an e-mail address becomes a member of an organization.

The secret of a link is known to whoever holds the link; stored is its hash. An invitation is bound to
its address, serves once, expires, and ends with its inviter's right to give the role. Each write is
one transaction and takes keywords only. The mail is in `accounts.invitation_mail`.
"""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.errors import AlreadyMember, InvitationClosed, InvitedElse, RoleOutOfReach, TooManyInvitations
from accounts.models import Invitation, Membership, Organization, Person
from accounts.permissions import Role, may_hand_out, roles_within

TOKEN_BYTES = 32
MAX_INVITATIONS_PER_DAY = 20

_ONE_DAY = timedelta(days=1)


@transaction.atomic
def invite_member(
    *, organization: Organization, invited_by: Person, email: str, role: str
) -> tuple[Invitation, str]:
    """A new invitation and the token of its link, which nothing can show a second time.

    It replaces the pending one of the same address. Raises RoleOutOfReach, AlreadyMember and
    TooManyInvitations.
    """
    _lock(organization.pk)
    email, now = email.strip().lower(), timezone.now()
    pending = Invitation.objects.pending().filter(organization=organization, email=email)
    for given in (role, *pending.values_list("role", flat=True)):
        _require_reach(organization, invited_by, given)
    if Membership.objects.filter(organization=organization, person__email__iexact=email).exists():
        raise AlreadyMember(f"{email} is in the team already.", field="email")
    recent = Invitation.objects.filter(organization=organization, created_at__gt=now - _ONE_DAY)
    if recent.count() >= MAX_INVITATIONS_PER_DAY:
        raise TooManyInvitations(
            f"An organization sends at most {MAX_INVITATIONS_PER_DAY} invitations in 24 hours; go on later."
        )
    pending.update(revoked_at=now)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    invitation = Invitation.objects.create(
        organization=organization,
        email=email,
        role=Role(role),
        token_hash=_hash_of(token),
        invited_by=invited_by,
        expires_at=now + timedelta(days=settings.FAREBOX_CONSOLE.invitation_lifetime_days),
    )
    return invitation, token


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, revoked_by: Person) -> None:
    """End the invitation; its link leads nowhere from then on. Raises RoleOutOfReach, InvitationClosed."""
    _lock(invitation.organization_id)
    _require_reach(invitation.organization, revoked_by, invitation.role)
    if not Invitation.objects.pending().filter(pk=invitation.pk).update(revoked_at=timezone.now()):
        raise InvitationClosed("The invitation has been accepted or revoked already.")


@transaction.atomic
def accept_invitation(*, invitation: Invitation, person: Person) -> Membership:
    """Make the invited person a member; whoever is one already keeps their role.

    Raises InvitedElse for another address than the invited one, InvitationClosed when it comes too late.
    """
    if not is_for(invitation, person):
        raise InvitedElse("This invitation was sent to another address than yours.")
    _lock(invitation.organization_id)
    now = timezone.now()
    if not Invitation.objects.open(now).filter(pk=invitation.pk).update(accepted_at=now):
        raise InvitationClosed("The invitation has been accepted, revoked or has expired.")
    membership, _ = Membership.objects.get_or_create(
        organization_id=invitation.organization_id, person=person, defaults={"role": invitation.role}
    )
    return membership


def withdraw_beyond(*, membership: Membership, role: str | None) -> None:
    """Revoke the member's pending invitations that they may no longer give, with `role` or without any.

    For the transaction that changes the membership, which holds the organization's lock.
    """
    sent = Invitation.objects.pending().filter(
        organization_id=membership.organization_id, invited_by_id=membership.person_id
    )
    within = roles_within(role) if role is not None else ()
    sent.exclude(role__in=within).update(revoked_at=timezone.now())


def find_by_token(token: str) -> Invitation | None:
    """The open invitation of this link; None alike for a wrong, expired, used or revoked one."""
    return _open().filter(token_hash=_hash_of(token)).first()


def find_by_id(invitation_id: UUID) -> Invitation | None:
    """The open invitation with this id."""
    return _open().filter(pk=invitation_id).first()


def is_for(invitation: Invitation, person: Person) -> bool:
    """Whether the invitation was sent to this person's address, in any case."""
    return person.email.lower() == invitation.email.lower()


def _open() -> QuerySet[Invitation]:
    return Invitation.objects.open(timezone.now()).select_related("organization", "invited_by")


def _hash_of(token: str) -> bytes:
    # The token has 256 random bits: there is nothing to guess, so nothing to slow down.
    return hashlib.sha256(token.encode()).digest()


def _lock(organization_id: UUID) -> None:
    # One at a time: else two inviters would both send the day's last invitation, and a membership could
    # begin while its inviter's ends.
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def _require_reach(organization: Organization, person: Person, role: str) -> None:
    own = Membership.objects.filter(organization=organization, person=person).first()
    if own is None or not may_hand_out(own.role, role):
        raise RoleOutOfReach("You can only invite with roles whose rights you hold yourself.")
