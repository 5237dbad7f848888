"""Credit runs low while requests run: the worker refills it, mails once, and requests go on."""

from decimal import Decimal

import httpx

from billing.models import BillingProfile, Payment
from billing.profiles import RefillRule, set_low_balance, switch_refill_on
from billing.selectors import balance_usd
from tests.billing.payment_cases import pay
from tests.house import Process, chat, eventually, new_team


def test_the_worker_refills_what_requests_have_used(
    committed: None, gateway: Process, worker: Process
) -> None:
    team = new_team(credit_usd="0")
    pay(team.somebody, "5", is_card_to_save="on")
    rule = RefillRule(
        below_usd=Decimal(5),
        amount_usd=Decimal(7),
        most_a_day_usd=Decimal(7),
        most_a_month_usd=Decimal(7),
    )
    switch_refill_on(organization=team.organization, rule=rule)
    set_low_balance(organization=team.organization, below_usd=Decimal(20))

    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json=chat("dear@fake"), headers=team.headers, timeout=30
    )
    assert answer.status_code == 200, answer.text
    refills = Payment.objects.filter(organization=team.organization, kind="refill", status="succeeded")
    eventually(refills.exists, "the refill")

    charged = team.only_event().charge_usd
    assert charged > 0
    assert balance_usd(team.organization) == 12 - charged
    assert refills.count() == 1
    marked = BillingProfile.objects.filter(pk=team.organization.pk, low_balance_mailed_at__isnull=False)
    eventually(marked.exists, "the low-balance mail")
