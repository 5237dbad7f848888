"""The page of one's own tokens for the management API: make one, see the secret once, revoke."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import token_services
from accounts.errors import AccountsRefusal
from accounts.forms import TokenForm
from accounts.models import ManagementToken
from accounts.permissions import DESCRIPTION_OF_ROLE
from accounts.tenancy import Tenant, tenant_of


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest, slug: str) -> HttpResponse:
    """The person's tokens; a POST makes one, whose secret is in that answer and nowhere else."""
    tenant, form = tenant_of(request, slug), TokenForm(request.POST or None)
    if not form.is_valid():
        return _page(request, tenant, form)
    days = form.cleaned_data["days"]
    try:
        token, secret = token_services.issue_management_token(
            membership=tenant.membership(tenant.person.pk),
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )
    except AccountsRefusal as refusal:
        form.add_error(None, str(refusal))
        return _page(request, tenant, form)
    return _page(request, tenant, TokenForm(), made=token, secret=secret)


@never_cache
@login_required
@require_POST
def token_revoke(request: HttpRequest, slug: str, token_id: UUID) -> HttpResponse:
    token = tenant_of(request, slug).management_token(token_id)
    token_services.revoke_management_token(token=token)
    messages.success(request, f"{token.name} is revoked: calls with it are refused at once.")
    return redirect("tokens", slug)


def _page(
    request: HttpRequest,
    tenant: Tenant,
    form: TokenForm,
    *,
    made: ManagementToken | None = None,
    secret: str = "",
) -> HttpResponse:
    context = {
        "tokens": tenant.management_tokens().filter(revoked_at=None),
        "form": form,
        "made": made,
        "secret": secret,
        "role_description": DESCRIPTION_OF_ROLE[tenant.role],
        "calls_url": request.build_absolute_uri(reverse("api_organization", args=[tenant.organization.slug])),
        "now": timezone.now(),
    }
    return render(request, "accounts/tokens.html", context)
