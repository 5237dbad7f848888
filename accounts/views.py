"""Pages of people and organizations: welcome, profile, team and settings.

Signing in and its kin are django-allauth's. The first key's page is the gateway's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services
from accounts.errors import AccountsRefusal
from accounts.forms import OrganizationNameForm, ProfileForm, RemovalForm, RoleForm, SwitchForm
from accounts.models import Membership, Person
from accounts.permissions import DESCRIPTION_OF_ROLE, Action, Role, may_hand_out, roles_within
from accounts.tenancy import Tenant, latest_organization, tenant_of


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


@login_required
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """Where people land after signing in: their organization, or the naming of their first one."""
    latest = latest_organization(request)
    if request.method == "GET" and latest is not None:
        return redirect("overview", latest.slug)
    return _name_organization(request, is_first=latest is None)


@login_required
@require_http_methods(["GET", "POST"])
def organization_new(request: HttpRequest) -> HttpResponse:
    return _name_organization(request, is_first=False)


@login_required
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    person, latest = _person(request), latest_organization(request)
    if latest is not None:
        tenant_of(request, latest.slug)  # the page stands in the frame of that organization
    form = ProfileForm(request.POST or None, initial={"name": person.name, "time_zone": person.time_zone})
    if form.is_valid():
        services.update_profile(person=person, **form.cleaned_data)
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    return render(request, "accounts/profile.html", {"form": form})


@login_required
@require_safe
def team(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    context = {
        "members": [_member_row(membership, tenant) for membership in tenant.memberships()],
        "roles": [(role.label, DESCRIPTION_OF_ROLE[role]) for role in Role],
        "may_manage": tenant.may(Action.MANAGE_MEMBERS),
    }
    return render(request, "accounts/team.html", context)


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
        services.change_role(actor_role=tenant.role, membership=membership, role=role)
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
        services.remove_member(
            actor_role=tenant.role, membership=membership, are_keys_revoked=are_keys_revoked
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
        services.leave_organization(membership=tenant.membership(tenant.person.pk))
    except AccountsRefusal as refusal:
        messages.error(request, str(refusal))
        return redirect("team", slug)
    messages.success(request, f"You have left {tenant.organization.name}.")
    return redirect("welcome")


@login_required
@require_safe
def organization_settings(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    form = OrganizationNameForm(initial={"name": tenant.organization.name})
    return _settings_page(request, tenant, form)


@login_required
@require_POST
def organization_name(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_ORGANIZATION)
    form = OrganizationNameForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, tenant, form)
    services.rename_organization(organization=tenant.organization, name=form.cleaned_data["name"])
    messages.success(request, "The name is saved.")
    return redirect("settings", slug)


@login_required
@require_POST
def body_logging(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, is_on = _switched(request, slug)
    services.set_body_logging(organization=tenant.organization, is_on=is_on)
    messages.success(
        request, "Prompts and answers are stored." if is_on else "Prompts and answers are no longer stored."
    )
    return redirect("settings", slug)


@login_required
@require_POST
def stream_cut(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, is_on = _switched(request, slug)
    services.set_stream_cut(organization=tenant.organization, is_on=is_on)
    messages.success(
        request, "A revoked key's streams are cut." if is_on else "A revoked key's streams run to their end."
    )
    return redirect("settings", slug)


def _name_organization(request: HttpRequest, *, is_first: bool) -> HttpResponse:
    person = _person(request)
    form = OrganizationNameForm(request.POST or None, initial={"name": _suggested_name(person)})
    if form.is_valid():
        organization = services.sign_up_organization(person=person, name=form.cleaned_data["name"])
        return redirect("first_key", organization.slug)
    return render(request, "accounts/welcome.html", {"form": form, "is_first": is_first})


def _suggested_name(person: Person) -> str:
    name = person.get_short_name()
    return f"{name[:1].upper()}{name[1:]}'s team"


def _switched(request: HttpRequest, slug: str) -> tuple[Tenant, bool]:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_ORGANIZATION)
    form = SwitchForm(request.POST)
    return tenant, form.is_valid() and bool(form.cleaned_data["is_on"])


def _settings_page(request: HttpRequest, tenant: Tenant, form: OrganizationNameForm) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "may_manage": tenant.may(Action.MANAGE_ORGANIZATION),
        "owners": ", ".join(
            owner.person.get_full_name() for owner in tenant.memberships().filter(role=Role.OWNER)
        ),
    }
    return render(request, "accounts/settings.html", context)


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


def _person(request: HttpRequest) -> Person:
    person = request.user
    assert isinstance(person, Person)  # login_required let the request in
    return person
