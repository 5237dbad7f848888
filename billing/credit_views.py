"""The billing page: add credit, saved card, automatic refill, promotion code, mail, payments.

Whoever may see spend may read it; its forms are for those who may pay. Invoices are in
`billing.invoice_views`, what processors tell in `billing.webhook_views`.
"""

from collections.abc import Callable
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.errors import AccountsRefusal
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.credit_forms import (
    InvoiceHeadForm,
    LowBalanceForm,
    PromotionForm,
    RefillForm,
    TopUpForm,
    invoice_head_initial,
    low_balance_initial,
    refill_initial,
)
from billing.errors import BillingError
from billing.models import Payment
from billing.money import format_usd
from billing.payments import refresh_payment, start_checkout
from billing.processors.base import ProcessorUnavailable
from billing.processors.chosen import TEST, are_payments_on, chosen_processor
from billing.profiles import (
    RefillRule,
    forget_card,
    profile_of,
    set_invoice_head,
    set_low_balance,
    switch_refill_off,
    switch_refill_on,
)
from billing.promotions import redeem_promotion_code
from billing.selectors import balance_usd

PAYMENTS_SHOWN = 50
NOT_REACHED = "The payment processor did not answer. Nothing was charged; try again in a minute."


@never_cache
@login_required
@require_GET
def billing(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.VIEW_SPEND)
    return _page(request, tenant)


@never_cache
@login_required
@require_POST
def top_up(request: HttpRequest, slug: str) -> HttpResponse:
    """Lead the payer on to the processor's page."""
    tenant, form = _payer(request, slug), TopUpForm(request.POST)

    def address_of(payment_id: UUID) -> str:
        return request.build_absolute_uri(reverse("payment", args=[slug, payment_id]))

    if form.is_valid():
        try:
            url = start_checkout(
                organization=tenant.organization,
                person=tenant.person,
                credit_usd=form.cleaned_data["credit_usd"],
                is_card_to_save=form.cleaned_data["is_card_to_save"],
                return_url_of=address_of,
            )
        except ProcessorUnavailable:
            form.add_error(None, NOT_REACHED)
        except BillingError as refusal:
            form.add_error(None, str(refusal))
        else:
            return redirect(url)
    return _page(request, tenant, top_up_form=form)


@never_cache
@login_required
@require_GET
def payment(request: HttpRequest, slug: str, payment_id: UUID) -> HttpResponse:
    """One payment; where the payer comes back to. Asks the processor while it is open."""
    tenant = tenant_of(request, slug)
    tenant.require(Action.VIEW_SPEND)
    found = _payment_of(tenant, payment_id)
    is_unread = False
    if found.status == Payment.Status.PENDING and _is_processors(found):
        try:
            refresh_payment(found)
        except ProcessorUnavailable:
            is_unread = True
        found = _payment_of(tenant, payment_id)
    transfers = found.transfers.select_related("transfer").order_by("transfer__posted_at")
    context = {
        "payment": found,
        "status_label": found.get_status_display(),
        "kind_label": found.get_kind_display(),
        "is_unread": is_unread,
        "is_waiting": found.status == Payment.Status.PENDING,
        "is_paid": found.status == Payment.Status.SUCCEEDED,
        "transfers": transfers,
        "balance_usd": balance_usd(tenant.organization),
    }
    return render(request, "billing/payment.html", context)


@never_cache
@login_required
@require_POST
def card_forget(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = _payer(request, slug)
    try:
        if forget_card(organization=tenant.organization):
            messages.success(request, "The card is forgotten, and automatic refill is off.")
    except ProcessorUnavailable:
        messages.error(request, "The payment processor did not answer. The card is still saved; try again.")
    except BillingError as refusal:
        messages.error(request, str(refusal))
    return redirect("billing", slug)


@never_cache
@login_required
@require_POST
def refill(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, form = _payer(request, slug), RefillForm(request.POST)

    def save() -> str:
        switch_refill_on(organization=tenant.organization, rule=RefillRule(**form.cleaned_data))
        return "Automatic refill is on."

    return _saved(request, form, save) or _page(request, tenant, refill_form=form)


@never_cache
@login_required
@require_POST
def refill_off(request: HttpRequest, slug: str) -> HttpResponse:
    if switch_refill_off(organization=_payer(request, slug).organization):
        messages.success(request, "Automatic refill is off.")
    return redirect("billing", slug)


@never_cache
@login_required
@require_POST
def promotion(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, form = _payer(request, slug), PromotionForm(request.POST)

    def save() -> str:
        redemption = redeem_promotion_code(
            organization=tenant.organization, person=tenant.person, code=form.cleaned_data["code"]
        )
        return f"{format_usd(redemption.code.amount_usd)} of credit was added."

    return _saved(request, form, save, field="code") or _page(request, tenant, promotion_form=form)


@never_cache
@login_required
@require_POST
def low_balance(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, form = _payer(request, slug), LowBalanceForm(request.POST)

    def save() -> str:
        set_low_balance(organization=tenant.organization, below_usd=form.cleaned_data["below_usd"])
        return "The mail's threshold is saved."

    return _saved(request, form, save) or _page(request, tenant, low_balance_form=form)


@never_cache
@login_required
@require_POST
def invoice_head(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, form = _payer(request, slug), InvoiceHeadForm(request.POST)

    def save() -> str:
        set_invoice_head(organization=tenant.organization, **form.cleaned_data)
        return "The invoice details are saved; invoices that are issued already stay as they are."

    return _saved(request, form, save) or _page(request, tenant, invoice_head_form=form)


def _payer(request: HttpRequest, slug: str) -> Tenant:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BILLING)
    return tenant


def _payment_of(tenant: Tenant, payment_id: UUID) -> Payment:
    found = tenant.scoped(Payment.objects.select_related("organization")).filter(pk=payment_id).first()
    if found is None:
        raise Http404("The organization has no such payment.")
    return found


def _is_processors(found: Payment) -> bool:
    """Whether the processor in use is the one that was asked for it."""
    return are_payments_on() and chosen_processor().name == found.processor


def _saved(
    request: HttpRequest, form: forms.Form, save: Callable[[], str], *, field: str | None = None
) -> HttpResponse | None:
    """Back to the page once it is saved; None when the form has to say what is wrong."""
    if not form.is_valid():
        return None
    try:
        words = save()
    except (BillingError, AccountsRefusal) as refusal:
        form.add_error(field, str(refusal))
        return None
    messages.success(request, words)
    assert request.resolver_match is not None, "a view was found"
    return redirect("billing", request.resolver_match.kwargs["slug"])


def _page(
    request: HttpRequest,
    tenant: Tenant,
    *,
    top_up_form: TopUpForm | None = None,
    refill_form: RefillForm | None = None,
    promotion_form: PromotionForm | None = None,
    low_balance_form: LowBalanceForm | None = None,
    invoice_head_form: InvoiceHeadForm | None = None,
) -> HttpResponse:
    organization, profile = tenant.organization, profile_of(tenant.organization)
    payments = tenant.scoped(Payment.objects.order_by("-created_at", "pk"))
    context = {
        "balance_usd": balance_usd(organization),
        "as_of": timezone.now(),
        "may_pay": tenant.may(Action.MANAGE_BILLING),
        "are_payments_on": are_payments_on(),
        "is_test": are_payments_on() and chosen_processor().name == TEST,
        "profile": profile,
        "has_card": bool(profile.card_ref),
        "payments": payments[:PAYMENTS_SHOWN],
        "top_up_form": top_up_form or TopUpForm(),
        "refill_form": refill_form or RefillForm(initial=refill_initial(profile)),
        "promotion_form": promotion_form or PromotionForm(),
        "low_balance_form": low_balance_form or LowBalanceForm(initial=low_balance_initial(profile)),
        "invoice_head_form": invoice_head_form or InvoiceHeadForm(initial=invoice_head_initial(profile)),
    }
    return render(request, "billing/billing.html", context)
