"""Alerts of budgets: once a period for each percentage, by mail and by a signed webhook."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.permissions import Role
from billing.budget_services import BudgetTerms, create_budget, update_budget
from billing.models import Budget, SpendingNote
from gateway.alert_delivery import MAX_DELIVERIES_PER_ORGANIZATION, deliver_due
from gateway.alert_models import AlertDelivery, BudgetAlert
from gateway.alert_services import remove_webhook, set_webhook
from gateway.budget_alerts import raise_alerts
from gateway.tasks import ALERTS_LOCK_ID, tell_of_budgets
from tests.billing.test_single_flight import running_elsewhere
from tests.gateway.receiver import Receiver
from tests.gateway.spending import spend
from tests.house import eventually
from tests.people import Somebody, teammate

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def make(somebody: Somebody, **terms: Any) -> Budget:
    said = {"scope": "organization", "amount_usd": Decimal(10), "window": "month", **terms}
    return create_budget(organization=somebody.organization, terms=BudgetTerms(**said))


def paid(somebody: Somebody, usd: str, *, at: datetime = NOW, **fields: Any) -> None:
    """One request that was stored, and noted as ingestion notes it."""
    spend(somebody.key_row, usd, at=at, **fields)
    labels = [("", ""), ("end_user", fields.get("end_user", ""))]
    for scope, subject in labels if fields.get("end_user") else labels[:1]:
        SpendingNote.objects.get_or_create(organization=somebody.organization, scope=scope, subject=subject)


def percents() -> list[int]:
    return sorted(BudgetAlert.objects.values_list("percent", flat=True))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_each_percentage_is_told_once_and_the_highest_of_those_at_once(alice: Somebody) -> None:
    make(alice)
    paid(alice, "4.99")
    raise_alerts(now=NOW)
    assert percents() == []

    paid(alice, "3.01")
    raise_alerts(now=NOW)
    deliver_due(now=NOW)
    assert percents() == [50, 80]
    assert [message.subject for message in mail.outbox] == ["80 % of the budget of Acme is spent"]

    paid(alice, "0.01")
    raise_alerts(now=NOW)
    paid(alice, "1.99")
    raise_alerts(now=NOW)
    deliver_due(now=NOW)
    assert percents() == [50, 80, 100]
    assert mail.outbox[1].subject == "100 % of the budget of Acme is used up"
    assert "$10.00 of $10.00 are spent" in mail.outbox[1].body
    assert len(mail.outbox) == 2


def test_a_next_period_is_told_again(alice: Somebody) -> None:
    make(alice, window="day", alert_percents=[50])
    paid(alice, "5")
    raise_alerts(now=NOW)
    tomorrow = NOW + timedelta(days=1)
    paid(alice, "5", at=tomorrow)

    raise_alerts(now=tomorrow)

    assert percents() == [50, 50]


def test_a_rolling_budget_is_told_once_in_each_of_its_lengths(alice: Somebody) -> None:
    make(alice, window="hour", is_rolling=True, alert_percents=[50])
    for minutes in (0, 10, 60):
        moment = NOW + timedelta(minutes=minutes)
        paid(alice, "5", at=moment)
        raise_alerts(now=moment)

    assert percents() == [50, 50]


def test_without_new_spending_nothing_is_looked_at(alice: Somebody) -> None:
    make(alice)
    spend(alice.key_row, "9", at=NOW)

    assert raise_alerts(now=NOW) == 0
    assert percents() == []


def test_owners_and_billing_are_told_and_nobody_else(alice: Somebody, charlie: Somebody) -> None:
    for role in Role:
        teammate(f"{role.value}@example.com", of=alice, role=role)
    make(alice)
    paid(alice, "5")

    raise_alerts(now=NOW)
    deliver_due(now=NOW)

    [message] = mail.outbox
    assert message.to == []
    assert sorted(message.bcc) == ["alice@example.com", "billing@example.com", "owner@example.com"]


def test_each_end_user_has_alerts_of_their_own(alice: Somebody) -> None:
    make(alice, scope="end_user", is_each=True, alert_percents=[50])
    paid(alice, "5", end_user="ann")
    paid(alice, "4", end_user="ben")

    raise_alerts(now=NOW)

    assert list(BudgetAlert.objects.values_list("subject", "spent_usd")) == [("ann", Decimal(5))]


def test_an_observed_budget_says_that_requests_go_on(alice: Somebody) -> None:
    make(alice, is_observed=True, alert_percents=[100])
    paid(alice, "12")

    raise_alerts(now=NOW)
    deliver_due(now=NOW)

    assert "It only observes: requests go on." in mail.outbox[0].body


def test_a_raised_amount_is_not_told_again_for_what_was_told(alice: Somebody) -> None:
    budget = make(alice)
    paid(alice, "8")
    raise_alerts(now=NOW)
    update_budget(
        budget=budget, terms=BudgetTerms(scope="organization", amount_usd=Decimal(16), window="month")
    )
    paid(alice, "0.01")

    assert raise_alerts(now=NOW) == 0


def test_a_webhook_is_posted_signed(alice: Somebody, receiver: Receiver) -> None:
    secret = set_webhook(organization=alice.organization, url=receiver.url)
    budget = make(alice, name="Launch")
    paid(alice, "5")

    raise_alerts(now=NOW)
    deliver_due(now=NOW)
    deliver_due(now=NOW + timedelta(hours=12))

    [(headers, body)] = receiver.requests
    message = json.loads(body)
    assert message["type"] == "budget.alert"
    assert message["data"]["budget_id"] == str(budget.pk)
    assert (message["data"]["percent"], message["data"]["spent_usd"]) == (50, "5.000000000")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_what_a_receiver_refuses_is_tried_again_later_and_given_up_in_the_end(
    alice: Somebody, receiver: Receiver
) -> None:
    set_webhook(organization=alice.organization, url=receiver.url)
    make(alice)
    paid(alice, "5")
    receiver.status = 503
    raise_alerts(now=NOW)
    deliver_due(now=NOW)
    deliver_due(now=NOW + timedelta(seconds=29))
    assert len(receiver.requests) == 1
    delivery = AlertDelivery.objects.get(channel="webhook")
    assert (delivery.problem, delivery.attempts) == ("answered 503", 1)

    for days in range(1, 9):
        deliver_due(now=NOW + timedelta(days=days))

    delivery.refresh_from_db()
    assert (len(receiver.requests), delivery.attempts, delivery.due_at) == (6, 6, None)
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1


def test_a_webhook_that_fails_holds_up_its_own_alerts_alone(
    alice: Somebody, charlie: Somebody, receiver: Receiver
) -> None:
    others = Receiver()
    set_webhook(organization=alice.organization, url=receiver.url)
    set_webhook(organization=charlie.organization, url=others.url)
    receiver.status = 503
    for name in ("one", "two", "three"):
        make(alice, name=name, alert_percents=[50])
    make(charlie, alert_percents=[50])
    for somebody in (alice, charlie):
        paid(somebody, "5")
    raise_alerts(now=NOW)

    deliver_due(now=NOW)

    assert (len(receiver.requests), len(others.requests)) == (1, 1)
    mine = AlertDelivery.objects.filter(alert__organization=alice.organization, channel="webhook")
    assert sorted(mine.values_list("attempts", flat=True)) == [0, 0, 1]
    receiver.status = 204
    assert deliver_due(now=NOW + timedelta(seconds=29)) == 0
    assert deliver_due(now=NOW + timedelta(minutes=1)) == 3
    others.close()


def test_an_organization_has_its_turns_in_a_run_and_no_more(alice: Somebody, charlie: Somebody) -> None:
    for number in range(MAX_DELIVERIES_PER_ORGANIZATION + 1):
        make(alice, name=f"Budget {number}", alert_percents=[50])
    make(charlie, alert_percents=[50])
    for somebody in (alice, charlie):
        paid(somebody, "5")
    raise_alerts(now=NOW)

    assert deliver_due(now=NOW) == MAX_DELIVERIES_PER_ORGANIZATION + 1
    first_turn = {recipient for message in mail.outbox[:2] for recipient in message.bcc}
    assert first_turn == {"alice@example.com", "charlie@example.com"}
    assert deliver_due(now=NOW) == 1


def test_a_run_whose_time_is_over_leaves_the_rest_as_it_was(alice: Somebody) -> None:
    make(alice)
    paid(alice, "5")
    raise_alerts(now=NOW)

    assert deliver_due(now=NOW, most_seconds=0) == 0

    delivery = AlertDelivery.objects.get()
    assert (delivery.attempts, delivery.due_at) == (0, NOW)


def test_alerts_are_told_by_one_run_at_a_time(alice: Somebody) -> None:
    make(alice, window="total")
    paid(alice, "5")

    with running_elsewhere(ALERTS_LOCK_ID):
        assert tell_of_budgets() == 0
        assert percents() == []

    assert eventually(tell_of_budgets, "the alert") == 1


def test_notes_are_taken_away_before_what_they_tell_of_is_counted(alice: Somebody) -> None:
    make(alice)
    paid(alice, "5")

    with CaptureQueriesContext(connection) as queries:
        raise_alerts(now=NOW)

    said = [query["sql"] for query in queries]
    taken = [place for place, sql in enumerate(said) if sql.startswith('DELETE FROM "billing_spendingnote"')]
    counted = [place for place, sql in enumerate(said) if 'FROM "billing_usageevent"' in sql]
    assert taken
    assert counted
    assert max(taken) < min(counted)


def test_a_private_address_is_never_posted_to(
    alice: Somebody, receiver: Receiver, settings: Settings
) -> None:
    set_webhook(organization=alice.organization, url=receiver.url)
    make(alice)
    paid(alice, "5")
    settings.FAREBOX_GATEWAY = replace(settings.FAREBOX_GATEWAY, allowed_upstream_networks=())

    raise_alerts(now=NOW)
    deliver_due(now=NOW)

    assert receiver.requests == []
    assert AlertDelivery.objects.get(channel="webhook").problem.startswith("not reached: ")


def test_a_removed_webhook_and_a_deleted_budget_are_told_nothing_more(
    alice: Somebody, receiver: Receiver
) -> None:
    set_webhook(organization=alice.organization, url=receiver.url)
    budget = make(alice)
    paid(alice, "5")
    raise_alerts(now=NOW)
    remove_webhook(organization=alice.organization)
    deliver_due(now=NOW)
    budget.delete()

    assert receiver.requests == []
    assert not BudgetAlert.objects.exists()


def test_the_page_sets_a_webhook_and_shows_its_secret_once(alice: Somebody) -> None:
    url = "/o/acme/budgets/webhook/"

    shown = alice.browser.post(url, {"url": "https://example.com/alerts"}).content.decode()
    later = alice.browser.get("/o/acme/budgets/").content.decode()
    refused = alice.browser.post(url, {"url": "ftp://example.com"}).content.decode()
    alice.browser.post(url, {"url": ""})

    assert "whsec_" in shown
    assert "whsec_" not in later
    assert "https://example.com/alerts" in later
    assert "must begin with https://" in refused
    assert 'value="https://example.com/alerts"' not in alice.browser.get("/o/acme/budgets/").content.decode()


def test_a_developer_cannot_set_a_webhook(bob: Somebody) -> None:
    assert bob.browser.post("/o/acme/budgets/webhook/", {"url": "https://example.com"}).status_code == 403
