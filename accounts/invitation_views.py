"""The page behind an invitation's link: who invites into which role, and the button to accept.

A link that is wrong, expired, used or revoked is a page that does not exist. The browser that has opened
a link remembers the invitation while its person signs up or in, so that the link itself stands in
no other address. Sending and revoking is on the team page, in `accounts.team_views`.
"""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts import invitations
from accounts.audit_log import record_action
from accounts.errors import InvitationClosed
from accounts.models import AuditEntry, Invitation, Person
from accounts.permissions import DESCRIPTION_OF_ROLE, Action, Role, may

SESSION_INVITATION = "invitation"
# Unlike `no-referrer`, it lets the browser name the origin of a form, which the check of forms needs.
REFERRER_POLICY = "strict-origin"


@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The link of the mail."""
    found = invitations.find_by_token(token)
    if found is None:
        raise Http404("No such invitation.")
    request.session[SESSION_INVITATION] = str(found.pk)
    return _accepted(request, found) if request.method == "POST" else _page(request, found)


@login_required
@require_http_methods(["GET", "POST"])
def invitation_kept(request: HttpRequest) -> HttpResponse:
    """The invitation that this browser has opened the link of."""
    found = kept_invitation(request)
    if found is None:
        raise Http404("No such invitation.")
    return _accepted(request, found) if request.method == "POST" else _page(request, found)


def kept_invitation(request: HttpRequest) -> Invitation | None:
    """The open invitation whose link this browser has opened."""
    kept = request.session.get(SESSION_INVITATION)
    return invitations.find_by_id(UUID(kept)) if kept else None


def _accepted(request: HttpRequest, found: Invitation) -> HttpResponse:
    if not isinstance(request.user, Person):
        return redirect(f"{reverse('account_login')}?next={reverse('invitation_kept')}")
    if not invitations.is_for(found, request.user):
        return _page(request, found, status=403)
    try:
        with transaction.atomic():
            membership = invitations.accept_invitation(invitation=found, person=request.user)
            record_action(
                organization=found.organization,
                person=request.user,
                via=AuditEntry.Via.PAGES,
                action="invitation.accept",
                target=found.email,
                target_id=found.pk,
            )
    except InvitationClosed as closed:
        raise Http404("No such invitation.") from closed
    request.session.pop(SESSION_INVITATION, None)
    role = Role(membership.role)
    messages.success(request, f"You are in {found.organization.name} as {role.label.lower()}.")
    landing = "overview" if may(role, Action.VIEW_SPEND) else "keys"
    return redirect(landing, found.organization.slug)


def _page(request: HttpRequest, found: Invitation, *, status: int = 200) -> HttpResponse:
    person = request.user if isinstance(request.user, Person) else None
    context = {
        "organization_name": found.organization.name,
        "inviter": found.invited_by.get_full_name() if found.invited_by else "",
        "role": Role(found.role).label,
        "role_description": DESCRIPTION_OF_ROLE[Role(found.role)],
        "person": person,
        "is_for_person": person is not None and invitations.is_for(found, person),
        "kept_href": reverse("invitation_kept"),
    }
    response = render(request, "accounts/invitation.html", context, status=status)
    response.headers["Referrer-Policy"] = REFERRER_POLICY
    return response
