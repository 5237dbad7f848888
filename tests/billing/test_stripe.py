"""Stripe through its official SDK, against a local Stripe: what is asked, and what comes of it."""

import dataclasses
import itertools
import time
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.audit import audit_ledger
from billing.errors import RefundUnderWay
from billing.models import BillingProfile, Payment, ProcessorEvent
from billing.payments import refresh_payment
from billing.price_book import load_price_book
from billing.processors.stripe_api import stripe_processor
from billing.profiles import RefillRule, forget_card, profile_of, switch_refill_on
from billing.refills import begin_refill, refill_credit
from billing.refunds import ask_again, refund_payment
from tests.billing.payment_cases import ask, balance, latest, moves
from tests.billing.stripe_server import API_KEY, WEBHOOK_SECRET, stripe_server


@pytest.fixture
def account(settings):
    """A Stripe account of the test's own."""
    with stripe_server() as server:
        settings.FAREBOX_PAYMENT_PROCESSOR = "stripe"
        settings.FAREBOX_CONSOLE = dataclasses.replace(
            settings.FAREBOX_CONSOLE,
            stripe_secret_key=API_KEY,
            stripe_webhook_secret=WEBHOOK_SECRET,
            stripe_api_base=server.url,
        )
        stripe_processor.cache_clear()
        yield server
    stripe_processor.cache_clear()


def tell(account, event, **options):
    body, headers = account.signed(event, **options)
    return Client().post(reverse("payment_webhook"), body, "application/json", headers=headers)


def session_of(account, payment):
    return account.sessions[payment.checkout_ref]


def bought(somebody, account, credit="50", *, card="pm_visa", **fields):
    """A payment that Stripe has taken and told us of; and its PaymentIntent."""
    ask(somebody, credit, **fields)
    payment = latest(somebody)
    intent = account.pay(payment.checkout_ref, card=card)
    answer = tell(account, account.event("checkout.session.completed", session_of(account, payment)))
    assert answer.json() == {"outcome": "applied"}
    payment.refresh_from_db()
    return payment, intent


def test_the_payer_is_led_to_stripes_page_and_credited_by_its_webhook(alice, account):
    answer = ask(alice, "12.34")
    payment = latest(alice)
    assert answer.url == f"https://checkout.stripe.com/c/pay/{payment.checkout_ref}"
    assert moves(alice) == []

    account.pay(payment.checkout_ref)
    tell(account, account.event("checkout.session.completed", session_of(account, payment)))

    assert moves(alice) == [("top_up", Decimal("12.34"))]
    asked = session_of(account, payment)["form"]
    assert asked["line_items[0][price_data][unit_amount]"] == "1234"
    assert asked["mode"] == "payment"
    assert asked["payment_intent_data[metadata][farebox_payment]"] == str(payment.pk)
    assert asked["success_url"].endswith(f"/billing/payments/{payment.pk}/")
    assert "payment_intent_data[setup_future_usage]" not in asked


def test_the_policy_of_the_pages_lets_the_form_lead_to_stripe(alice, account):
    page = alice.browser.get(reverse("billing", args=[alice.organization.slug]))

    assert "form-action 'self' https://checkout.stripe.com" in page.headers["Content-Security-Policy"]


def test_every_order_of_stripes_events_posts_once(alice, account):
    for order in itertools.permutations(("session", "intent", "refunded")):
        before = balance(alice)
        ask(alice, "50")
        payment = latest(alice)
        intent = account.pay(payment.checkout_ref)
        charge = account.refund_on_dashboard(intent["id"], 2000)
        events = {
            "session": account.event("checkout.session.completed", session_of(account, payment)),
            "intent": account.event("payment_intent.succeeded", intent),
            "refunded": account.event("charge.refunded", charge),
        }

        for name in order:
            assert tell(account, events[name]).status_code == 200

        assert balance(alice) - before == 30, order


def test_a_dispute_is_matched_by_asking_stripe_whose_payment_it_is(alice, account):
    ask(alice, "50")
    payment = latest(alice)
    intent = account.pay(payment.checkout_ref)
    dispute = {"id": "dp_1", "object": "dispute", "amount": 5000, "payment_intent": intent["id"]}

    answers = [
        tell(account, account.event("charge.dispute.funds_withdrawn", dispute)).json()["outcome"],
        tell(account, account.event("payment_intent.succeeded", intent)).json()["outcome"],
        tell(account, account.event("charge.dispute.funds_reinstated", dispute)).json()["outcome"],
    ]

    assert answers == ["applied", "nothing_to_do", "applied"]
    assert [kind for kind, _ in moves(alice)] == ["top_up", "refund", "top_up"]
    assert balance(alice) == 50


def test_a_session_that_completes_before_its_money_waits_for_it(alice, account):
    ask(alice, "50")
    payment = latest(alice)
    session = session_of(account, payment)
    session["status"] = "complete"

    tell(account, account.event("checkout.session.completed", session))
    assert moves(alice) == []
    account.pay(payment.checkout_ref)
    tell(account, account.event("checkout.session.async_payment_succeeded", session))

    assert balance(alice) == 50


@pytest.mark.parametrize("kind", ["checkout.session.expired", "checkout.session.async_payment_failed"])
def test_a_session_that_ends_without_money_ends_the_payment(alice, account, kind):
    ask(alice, "50")
    payment = latest(alice)
    session = {**session_of(account, payment), "status": "expired"}

    tell(account, account.event(kind, session))

    assert latest(alice).status == "expired"
    assert moves(alice) == []


def test_a_failed_attempt_leaves_the_checkout_open(alice, account):
    ask(alice, "50")
    payment = latest(alice)
    failed = {
        "id": "pi_failed",
        "object": "payment_intent",
        "status": "requires_payment_method",
        "currency": "usd",
        "metadata": {"farebox_payment": str(payment.pk)},
        "last_payment_error": {"message": "Your card was declined."},
    }

    tell(account, account.event("payment_intent.payment_failed", failed))

    payment.refresh_from_db()
    assert (payment.status, payment.failure) == ("pending", "Your card was declined.")


@pytest.mark.parametrize(("seconds", "status"), [(-3600, 400), (3600, 400), (-200, 200), (200, 200)])
def test_a_clock_that_is_an_hour_off_is_refused(alice, account, seconds, status):
    event = account.event("customer.created", {"id": "cus_1", "object": "customer"})

    assert tell(account, event, at_seconds=int(time.time()) + seconds).status_code == status


@pytest.mark.parametrize("secret", ["", "whsec_another"])
def test_a_webhook_of_another_secret_is_forged(alice, account, secret):
    ask(alice, "50")
    payment = latest(alice)
    account.pay(payment.checkout_ref)
    body, _ = account.signed(account.event("checkout.session.completed", session_of(account, payment)))
    header = stripe.WebhookSignature.generate_signature_header(body, secret)

    answer = Client().post(
        reverse("payment_webhook"), body, "application/json", headers={"stripe-signature": header}
    )

    assert answer.status_code == 400
    assert moves(alice) == []
    assert not ProcessorEvent.objects.exists()


def test_other_currencies_and_payments_of_others_add_nothing(alice, account):
    ask(alice, "50")
    payment = latest(alice)
    intent = account.pay(payment.checkout_ref)
    foreign = {**intent, "id": "pi_foreign", "metadata": {}}
    euros = {**intent, "id": "pi_euros", "currency": "eur"}

    tell(account, account.event("payment_intent.succeeded", foreign))
    tell(account, account.event("payment_intent.succeeded", euros))

    assert moves(alice) == []


def test_a_kept_card_is_called_by_its_last_four_and_its_numbers_stay_at_stripe(alice, account):
    bought(alice, account, is_card_to_save="on")

    profile = profile_of(alice.organization)
    assert (profile.card_label, profile.card_ref) == ("Visa ending in 4242", "pm_visa")
    stored = " ".join(str(value) for value in vars(profile).values())
    assert "2030" not in stored


def test_a_second_checkout_is_for_the_same_customer(alice, account):
    bought(alice, account, is_card_to_save="on")

    ask(alice, "20")

    form = session_of(account, latest(alice))["form"]
    assert form["customer"] == profile_of(alice.organization).customer_ref
    assert "customer_email" not in form


def test_the_saved_card_is_charged_when_the_credit_runs_low(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")

    assert refill_credit() == 1
    assert refill_credit() == 0

    assert moves(alice) == [("top_up", Decimal(10)), ("top_up", Decimal(30))]
    (call,) = [call for call in account.calls if call[:2] == ("POST", "/v1/payment_intents")]
    assert call[2]["amount"] == "3000"
    assert call[3] == f"refill-{latest(alice).pk}"


def test_a_refill_whose_answer_was_lost_charges_once(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    refill_credit()
    # As after a crash between Stripe's answer and our commit.
    lost = latest(alice)
    Payment.objects.filter(pk=lost.pk).update(status="pending")

    refill_credit()

    intents = [
        intent for intent in account.intents.values() if intent["metadata"]["farebox_payment"] == str(lost.pk)
    ]
    assert len(intents) == 1
    assert balance(alice) == 40


def test_a_refill_waits_while_stripe_is_away(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    account.is_away = True
    assert refill_credit() == 0
    assert latest(alice).status == "pending"

    account.is_away = False

    assert refill_credit() == 1
    assert balance(alice) == 40


def charges_asked(account):
    return [form for method, path, form, _ in account.calls if method + path == "POST/v1/payment_intents"]


@pytest.mark.parametrize(("age", "charged", "status"), [("22:59", 1, "succeeded"), ("23:01", 0, "failed")])
def test_a_refill_is_not_asked_for_again_once_stripe_may_have_forgotten_it(
    alice, account, caplog, age, charged, status
):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    account.is_away = True
    refill_credit()
    account.is_away = False
    hours, minutes = map(int, age.split(":"))
    created_at = timezone.now() - timedelta(hours=hours, minutes=minutes)
    Payment.objects.filter(status="pending").update(created_at=created_at)

    assert refill_credit() == charged

    assert Payment.objects.get(kind="refill").status == status
    assert len(account.intents) == 1 + charged
    assert ("refill given up" in caplog.messages) is (status == "failed")


def test_a_refill_is_asked_for_again_as_it_was_first_asked_for(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    account.is_away = True
    refill_credit()
    account.is_away = False
    type(alice.organization).objects.filter(pk=alice.organization.pk).update(name="Renamed")
    BillingProfile.objects.update(card_ref="pm_other", customer_ref="cus_other")

    assert refill_credit() == 1

    first, *others = charges_asked(account)
    assert first["payment_method"] == "pm_visa"
    assert others
    assert all(form == first for form in others)


def test_a_card_that_was_replaced_before_it_was_asked_for_is_not_charged(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    payment_id = begin_refill(alice.organization.pk)
    BillingProfile.objects.update(card_ref="pm_other")

    assert refill_credit() == 0

    assert Payment.objects.get(pk=payment_id).status == "failed"
    assert charges_asked(account) == []


def test_a_charge_that_takes_its_time_is_asked_about_and_not_repeated(alice, account):
    bought(alice, account, "10", card="pm_takes_its_time", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    assert [refill_credit(), refill_credit()] == [0, 0]
    payment = latest(alice)
    intent = account.intents[payment.processor_ref]
    assert (payment.status, intent["status"]) == ("pending", "processing")

    intent.update(status="succeeded", amount_received=3000)

    assert refill_credit() == 1
    assert balance(alice) == 40
    assert len(charges_asked(account)) == 1


def test_a_charge_that_took_its_time_and_was_declined_ends_the_refill(alice, account):
    bought(alice, account, "10", card="pm_takes_its_time", is_card_to_save="on")
    _refill_below(alice, "20", amount="30")
    refill_credit()
    intent = account.intents[latest(alice).processor_ref]
    intent.update(status="requires_payment_method", last_payment_error={"message": "Insufficient funds."})

    assert refill_credit() == 0

    assert (latest(alice).status, latest(alice).failure) == ("failed", "Insufficient funds.")
    assert profile_of(alice.organization).refill_declines == 1


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("pm_declined_later", "Your card has insufficient funds."),
        ("pm_asks_its_owner", "This transaction requires authentication."),
    ],
)
def test_a_card_that_stripe_declines_ends_the_refill_with_its_words(alice, account, card, words):
    bought(alice, account, "10", card=card, is_card_to_save="on")
    _refill_below(alice, "20", amount="30")

    assert refill_credit() == 0

    payment = latest(alice)
    assert payment.status == "failed"
    assert words in payment.failure
    assert balance(alice) == 10


def test_a_forgotten_card_is_dropped_at_stripe_and_again_is_no_error(alice, account):
    bought(alice, account, "10", is_card_to_save="on")
    assert "pm_visa" in account.cards
    ref = profile_of(alice.organization).card_ref

    assert forget_card(organization=alice.organization) is True
    assert forget_card(organization=alice.organization) is False

    assert account.cards == {}
    stripe_processor().forget_card(ref)


def test_a_refund_is_given_by_stripe_and_its_webhook_takes_nothing_more(alice, account):
    payment, intent = bought(alice, account, "50")

    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "done"
    charge = account.charges[intent["latest_charge"]]
    tell(account, account.event("charge.refunded", charge))

    assert charge["amount_refunded"] == 2000
    assert balance(alice) == 30


def test_a_refund_whose_answer_is_late_is_not_given_twice(alice, account):
    payment, intent = bought(alice, account, "50")
    account.is_away = True
    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "asked"

    with pytest.raises(RefundUnderWay, match="is on its way; wait until it is done or refused"):
        refund_payment(payment=payment, amount_usd=Decimal(20))
    account.is_away = False

    assert ask_again() == 1
    assert account.charges[intent["latest_charge"]]["amount_refunded"] == 2000
    assert balance(alice) == 30
    assert refund_payment(payment=payment, amount_usd=Decimal(5)) == "done"


def stripe_forgets(account, age):
    """So long after the refunds: Stripe knows their idempotency keys no more."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_ledgertransfer SET posted_at = now() - %s", [age])
        cursor.execute("SET LOCAL session_replication_role = origin")
    account.answers.clear()


@pytest.mark.parametrize(
    ("age", "given_cents", "standing"),
    [(timedelta(hours=22, minutes=59), 2000, "done"), (timedelta(hours=23, minutes=1), 0, "refused")],
)
def test_a_refund_is_not_asked_for_once_stripe_may_have_forgotten_it(
    alice, account, caplog, age, given_cents, standing
):
    payment, intent = bought(alice, account, "50")
    account.is_away = True
    refund_payment(payment=payment, amount_usd=Decimal(20))
    account.is_away = False
    stripe_forgets(account, age)

    assert ask_again() == 1

    assert account.charges[intent["latest_charge"]]["amount_refunded"] == given_cents
    assert balance(alice) == 50 - given_cents // 100
    assert payment.transfers.get(kind="refund", amount_usd=-20).status == standing
    assert ("refund given up" in caplog.messages) is (standing == "refused")


def test_a_refund_that_was_given_and_whose_answer_was_lost_is_not_given_again(alice, account):
    payment, intent = bought(alice, account, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    payment.transfers.filter(kind="refund").update(status="asked")
    account.refund_on_dashboard(intent["id"], 500)
    stripe_forgets(account, timedelta(hours=24))

    assert ask_again() == 1
    assert ask_again() == 0

    assert account.charges[intent["latest_charge"]]["amount_refunded"] == 2500
    assert moves(alice)[1:] == [("refund", Decimal(-20)), ("refund", Decimal(-5))]
    assert payment.transfers.get(kind="refund", amount_usd=-20).status == "done"


def test_a_refund_stays_asked_while_stripe_does_not_tell_what_was_refunded(alice, account):
    payment, _ = bought(alice, account, "50")
    account.is_away = True
    refund_payment(payment=payment, amount_usd=Decimal(20))
    stripe_forgets(account, timedelta(hours=24))

    assert ask_again() == 1

    assert payment.transfers.get(kind="refund").status == "asked"
    assert balance(alice) == 30


def test_a_refund_that_stripe_refuses_is_credited_again_and_the_dashboards_is_taken(alice, account):
    payment, intent = bought(alice, account, "50")
    account.refund_on_dashboard(intent["id"], 4000)

    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "refused"

    assert moves(alice)[1:] == [
        ("refund", Decimal(-20)),
        ("top_up", Decimal(20)),
        ("refund", Decimal(-40)),
    ]
    payment.refresh_from_db()
    assert payment.refunded_usd == 40


def test_the_dashboards_refund_is_taken_once_whichever_news_comes_first(alice, account):
    payment, intent = bought(alice, account, "50")
    charge = account.refund_on_dashboard(intent["id"], 4000)
    account.is_away = True
    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "asked"
    tell(account, account.event("charge.refunded", charge))
    account.is_away = False

    assert ask_again() == 1
    tell(account, account.event("charge.refunded", charge))

    payment.refresh_from_db()
    assert (payment.refunded_usd, balance(alice)) == (40, 10)


@pytest.mark.parametrize("is_failure_counted", [False, True])
@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
def test_a_refund_that_fails_later_is_credited_again_once(alice, account, kind, is_failure_counted):
    account.is_failure_counted = is_failure_counted
    payment, intent = bought(alice, account, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    (refund,) = account.refunds.values()
    charge = account.charges[intent["latest_charge"]]
    before = account.event("charge.refunded", dict(charge))
    account.fail_refund(refund)

    outcomes = [tell(account, account.event(kind, refund)).json()["outcome"] for _ in range(2)]
    outcomes += [tell(account, before).json()["outcome"]]
    refresh_payment(payment)

    assert outcomes == ["applied", "nothing_to_do", "nothing_to_do"]
    payment.refresh_from_db()
    assert (balance(alice), payment.refunded_usd) == (50, 0)
    assert payment.transfers.get(amount_usd=-20).status == "refused"
    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - timedelta(days=400))
    assert not [finding for finding in audit.findings if finding.number == "L17" and finding.differences]


def test_a_refund_on_the_dashboard_is_taken_after_one_that_failed(alice, account):
    account.is_failure_counted = True
    payment, intent = bought(alice, account, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    (refund,) = account.refunds.values()
    tell(account, account.event("refund.failed", account.fail_refund(refund)))

    charge = account.refund_on_dashboard(intent["id"], 1000)
    tell(account, account.event("charge.refunded", charge))

    payment.refresh_from_db()
    assert (balance(alice), payment.refunded_usd) == (40, 10)


def test_the_failure_of_a_refund_may_come_before_its_answer(alice, account):
    payment, _ = bought(alice, account, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    payment.transfers.filter(kind="refund").update(status="asked")
    (refund,) = account.refunds.values()

    tell(account, account.event("refund.failed", account.fail_refund(refund)))

    assert ask_again() == 0
    assert balance(alice) == 50


@pytest.mark.parametrize("is_failure_counted", [False, True])
def test_a_refund_that_fails_at_once_is_refused(alice, account, is_failure_counted):
    account.is_refund_failing, account.is_failure_counted = True, is_failure_counted
    payment, _ = bought(alice, account, "50")

    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "refused"
    (refund,) = account.refunds.values()
    tell(account, account.event("refund.failed", refund))

    payment.refresh_from_db()
    assert (balance(alice), payment.refunded_usd) == (50, 0)
    words = "Refund was not possible: Stripe could not refund it: expired or canceled card."
    assert payment.transfers.filter(transfer__description=words).count() == 1


def test_a_refund_that_goes_on_changes_nothing(alice, account):
    payment, _ = bought(alice, account, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    (refund,) = account.refunds.values()

    tell(account, account.event("refund.updated", refund))

    assert balance(alice) == 30


def test_the_operator_is_told_when_a_refund_of_the_dashboard_fails(
    alice, account, settings, mailoutbox, django_capture_on_commit_callbacks
):
    settings.FAREBOX_CONSOLE = dataclasses.replace(
        settings.FAREBOX_CONSOLE, operator_emails=("operator@example.com",)
    )
    payment, intent = bought(alice, account, "50")
    tell(account, account.event("charge.refunded", account.refund_on_dashboard(intent["id"], 2000)))
    (refund,) = account.refunds.values()
    mailoutbox.clear()

    with django_capture_on_commit_callbacks(execute=True):
        answer = tell(account, account.event("refund.failed", account.fail_refund(refund)))

    assert answer.json() == {"outcome": "mismatch"}
    (mail,) = mailoutbox
    assert mail.to == ["operator@example.com"]
    assert f"A refund of $20.00 of payment {payment.pk} that was not asked for here has failed" in mail.body
    assert balance(alice) == 30


def test_while_stripe_is_away_nothing_is_asked_of_the_payer(alice, account):
    account.is_away = True

    page = ask(alice, "50")

    assert "did not answer" in str(page.context["top_up_form"].errors)
    assert latest(alice).status == "failed"


def test_a_webhook_that_must_ask_stripe_is_told_again_later(alice, account):
    account.is_away = True
    dispute = {"id": "dp_1", "object": "dispute", "amount": 5000, "payment_intent": "pi_unknown"}

    answer = tell(account, account.event("charge.dispute.funds_withdrawn", dispute))

    assert answer.status_code == 503
    assert not ProcessorEvent.objects.exists()


def _refill_below(somebody, below, *, amount):
    rule = RefillRule(
        below_usd=Decimal(below),
        amount_usd=Decimal(amount),
        most_a_day_usd=Decimal(1000),
        most_a_month_usd=Decimal(1000),
    )
    switch_refill_on(organization=somebody.organization, rule=rule)
