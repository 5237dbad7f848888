"""The pages of invoices and credit notes: the list, one document as it was issued, its PDF."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.models import Invoice

INVOICES_SHOWN = 240


@login_required
@require_GET
def invoices(request: HttpRequest, slug: str) -> HttpResponse:
    rows = _invoices_of(_spend_viewer(request, slug)).select_related("corrects").defer("html", "pdf")
    return render(request, "billing/invoices.html", {"invoices": rows[:INVOICES_SHOWN]})


@login_required
@require_GET
def invoice(request: HttpRequest, slug: str, invoice_id: UUID) -> HttpResponse:
    found = _one(_spend_viewer(request, slug), invoice_id)
    # These bytes were rendered by us, with every value escaped, and cannot have changed since.
    document = mark_safe(bytes(found.html).decode())
    context = {"invoice": found, "kind_label": found.get_kind_display(), "document": document}
    return render(request, "billing/invoice.html", context)


@login_required
@require_GET
def invoice_pdf(request: HttpRequest, slug: str, invoice_id: UUID) -> HttpResponse:
    found = _one(_spend_viewer(request, slug), invoice_id)
    response = HttpResponse(bytes(found.pdf), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{found.name}.pdf"'
    return response


def _spend_viewer(request: HttpRequest, slug: str) -> Tenant:
    tenant = tenant_of(request, slug)
    tenant.require(Action.VIEW_SPEND)
    return tenant


def _invoices_of(tenant: Tenant) -> QuerySet[Invoice]:
    return tenant.scoped(Invoice.objects.order_by("-number"))


def _one(tenant: Tenant, invoice_id: UUID) -> Invoice:
    found = _invoices_of(tenant).filter(pk=invoice_id).first()
    if found is None:
        raise Http404("The organization has no such invoice.")
    return found
