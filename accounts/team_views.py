"""The team page: members and their roles, invitations to send and revoke, and leaving.

Accepting an invitation is in `accounts.invitation_views`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import invitations, services
from accounts.audit_log import record_on_page
from accounts.errors import AccountsRefusal
from accounts.forms import InvitationForm, RemovalForm, RoleForm
from accounts.invitation_mail import link_of, send_invitation
from accounts.models import Invitation, Membership
from accounts.permissions import DESCRIPTION_OF_ROLE, Action, Role, may_hand_out, roles_within
from accounts.tenancy import Tenant, tenant_of


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One line of the team page."""

    person_id: UUID
    name: str
    email: str
    joined_at: datetime
    role_label: str
    role_description: str
    role_choices: tuple[Role, ...]
    role: str
    is_self: bool
    may_be_removed: bool


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """One open invitation of the team page."""

    id: UUID
    email: str
    role_label: str
    inviter: str
    created_at: datetime
    expires_at: datetime
    may_be_revoked: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """The invitation that was just made, with the link that nothing shows a second time."""

    email: str
    link: str
    is_mailed: bool


@login_required
@require_safe
def team(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    return _team_page(request, tenant, InvitationForm(own_role=tenant.role))


@login_required
@require_POST
def member_invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Send an invitation. Its link is in this answer and in the mail, and nowhere else."""
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_MEMBERS)
    form = InvitationForm(request.POST, own_role=tenant.role)
    if form.is_valid():
        try:
            with transaction.atomic():
                invitation, token = invitations.invite_member(
                    organization=tenant.organization, invited_by=tenant.person, **form.cleaned_data
                )
                record_on_page(tenant, "invitation.create", target=invitation.email, target_id=invitation.pk)
        except AccountsRefusal as refusal:
            form.add_error(None, str(refusal))
        else:
            link = link_of(token)
            sent = Sent(invitation.email, link, is_mailed=send_invitation(invitation, link=link))
            return _team_page(request, tenant, InvitationForm(own_role=tenant.role), sent=sent)
    return _team_page(request, tenant, form)


@login_required
@require_POST
def invitation_revoke(request: HttpRequest, slug: str, invitation_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_MEMBERS)
    invitation = tenant.invitation(invitation_id)
    try:
        with transaction.atomic():
            invitations.revoke_invitation(invitation=invitation, revoked_by=tenant.person)
            record_on_page(tenant, "invitation.revoke", target=invitation.email, target_id=invitation_id)
    except AccountsRefusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"The invitation of {invitation.email} is revoked.")
    return redirect("team", slug)


@login_required
@require_POST
def member_role(request: HttpRequest, slug: str, person_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_MEMBERS)
    membership, form = tenant.membership(person_id), RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the roles.")
        return redirect("team", slug)
    role = Role(form.cleaned_data["role"])
    try:
        with transaction.atomic():
            services.change_role(actor_role=tenant.role, membership=membership, role=role)
            record_on_page(
                tenant,
                "member.update",
                target=membership.person.email,
                target_id=person_id,
                changed=["role"],
            )
    except AccountsRefusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{membership.person.get_full_name()} is now {role.label.lower()}.")
    return redirect("team", slug)


@login_required
@require_POST
def member_remove(request: HttpRequest, slug: str, person_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_MEMBERS)
    membership, form = tenant.membership(person_id), RemovalForm(request.POST)
    are_keys_revoked = form.is_valid() and form.cleaned_data["are_keys_revoked"]
    try:
        with transaction.atomic():
            services.remove_member(
                actor_role=tenant.role, membership=membership, are_keys_revoked=are_keys_revoked
            )
            record_on_page(
                tenant,
                "member.remove",
                target=membership.person.email,
                target_id=person_id,
                changed=["revoke_keys"] if are_keys_revoked else (),
            )
    except AccountsRefusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{membership.person.get_full_name()} is no longer in the team.")
    return redirect("team", slug)


@login_required
@require_POST
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    try:
        with transaction.atomic():
            services.leave_organization(membership=tenant.membership(tenant.person.pk))
            record_on_page(tenant, "member.leave", target=tenant.person.email, target_id=tenant.person.pk)
    except AccountsRefusal as refusal:
        messages.error(request, str(refusal))
        return redirect("team", slug)
    messages.success(request, f"You have left {tenant.organization.name}.")
    return redirect("welcome")


def _team_page(
    request: HttpRequest, tenant: Tenant, form: InvitationForm, *, sent: Sent | None = None
) -> HttpResponse:
    may_manage = tenant.may(Action.MANAGE_MEMBERS)
    context = {
        "members": [_member_row(membership, tenant) for membership in tenant.memberships()],
        "invitations": [_invitation_row(each, tenant) for each in tenant.invitations()] if may_manage else (),
        "roles": [(role.label, DESCRIPTION_OF_ROLE[role]) for role in Role],
        "may_manage": may_manage,
        "form": form,
        "sent": sent,
    }
    return render(request, "accounts/team.html", context)


def _member_row(membership: Membership, tenant: Tenant) -> MemberRow:
    role, is_self = Role(membership.role), membership.person_id == tenant.person.pk
    is_within_reach = may_hand_out(tenant.role, role)
    return MemberRow(
        person_id=membership.person_id,
        name=membership.person.get_full_name(),
        email=membership.person.email,
        joined_at=membership.created_at,
        role=role,
        role_label=role.label,
        role_description=DESCRIPTION_OF_ROLE[role],
        role_choices=roles_within(tenant.role) if is_within_reach else (),
        is_self=is_self,
        may_be_removed=is_within_reach and not is_self,
    )


def _invitation_row(invitation: Invitation, tenant: Tenant) -> InvitationRow:
    return InvitationRow(
        id=invitation.pk,
        email=invitation.email,
        role_label=Role(invitation.role).label,
        inviter=invitation.invited_by.get_full_name() if invitation.invited_by else "",
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        may_be_revoked=may_hand_out(tenant.role, invitation.role),
    )
