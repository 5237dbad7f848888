"""Pages of people and organizations: welcome, profile and settings. The team's are in `accounts.team_views`.

Signing in and its kin are django-allauth's. The first key's page is the gateway's.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services
from accounts.audit_log import record_on_page
from accounts.forms import OrganizationNameForm, ProfileForm, SwitchForm
from accounts.invitation_views import kept_invitation
from accounts.invitations import is_for
from accounts.models import Person
from accounts.permissions import Action, Role
from accounts.tenancy import Tenant, latest_organization, tenant_of


@login_required
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """Where people land after signing in: their organization, an invitation, or the naming of a first one."""
    latest = latest_organization(request)
    if request.method == "GET" and latest is not None:
        return redirect("overview", latest.slug)
    kept = kept_invitation(request) if request.method == "GET" else None
    if kept is not None and is_for(kept, _person(request)):
        return redirect("invitation_kept")
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
    with transaction.atomic():
        services.rename_organization(organization=tenant.organization, name=form.cleaned_data["name"])
        _record(tenant, "name")
    messages.success(request, "The name is saved.")
    return redirect("settings", slug)


@login_required
@require_POST
def body_logging(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, is_on = _switched(request, slug)
    with transaction.atomic():
        services.set_body_logging(organization=tenant.organization, is_on=is_on)
        _record(tenant, "is_body_logging_on")
    messages.success(
        request, "Prompts and answers are stored." if is_on else "Prompts and answers are no longer stored."
    )
    return redirect("settings", slug)


@login_required
@require_POST
def stream_cut(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, is_on = _switched(request, slug)
    with transaction.atomic():
        services.set_stream_cut(organization=tenant.organization, is_on=is_on)
        _record(tenant, "is_stream_cut_on_revocation")
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


def _record(tenant: Tenant, field: str) -> None:
    organization = tenant.organization
    record_on_page(
        tenant, "organization.update", target=organization.name, target_id=organization.pk, changed=[field]
    )


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


def _person(request: HttpRequest) -> Person:
    person = request.user
    assert isinstance(person, Person)  # login_required let the request in
    return person
