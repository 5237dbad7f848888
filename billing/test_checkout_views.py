"""The page on which the built-in test processor lets people pay, as a processor's own would.

Whoever has the address of a checkout may pay it, as with any processor. Without the test
processor there is no such page.
"""

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.amounts import usd_of_cents
from billing.models import TestCharge
from billing.processors.base import Standing
from billing.processors.built_in_test import DECLINED_TEXT, TestCard, is_open, pay
from billing.processors.chosen import TEST, are_payments_on, chosen_processor


class CardForm(forms.Form):
    """Which card to pay with; `answer` is what the payer tells the card's bank."""

    card = forms.ChoiceField(
        label="Card", choices=TestCard.choices, initial=TestCard.GOOD, widget=forms.RadioSelect
    )
    answer = forms.ChoiceField(required=False, choices=[("yes", "yes"), ("no", "no")])


@never_cache
@require_http_methods(["GET", "POST"])
def test_checkout(request: HttpRequest, ref: str) -> HttpResponse:
    charge = _charge_of(ref)
    if not is_open(charge):
        return redirect(charge.return_url)
    form = CardForm(request.POST or None)
    frame = {"form": form, "charge": charge, "amount_usd": usd_of_cents(charge.amount_cents)}
    if not form.is_valid():
        return render(request, "billing/test_checkout.html", frame)
    card, answer = form.cleaned_data["card"], form.cleaned_data["answer"]
    if card == TestCard.CONFIRM and not answer:
        return render(request, "billing/test_checkout.html", {**frame, "is_bank_asking": True})
    if pay(charge, TestCard.DECLINED if answer == "no" else card) is Standing.DECLINED:
        form.add_error(None, f"{DECLINED_TEXT} Choose another one.")
        return render(request, "billing/test_checkout.html", frame)
    return redirect(charge.return_url)


def _charge_of(ref: str) -> TestCharge:
    is_on = are_payments_on() and chosen_processor().name == TEST
    charge = TestCharge.objects.filter(pk=ref).exclude(return_url="").first() if is_on else None
    if charge is None:
        raise Http404("There is no such checkout.")
    return charge


test_checkout.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test's
