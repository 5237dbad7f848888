"""The operator's pages of reconciliation: who may see them, and that each figure leads to its events."""

import csv
import io

import pytest
from django.urls import reverse

from billing.models import ProviderDay
from billing.reconciliation.alerting import match_and_tell
from tests.billing.test_reconciliation import COST, DAY, FAKE, NOW, bill, call
from tests.people import browser_of

__all__ = ["call"]


@pytest.fixture
def browser(alice):
    alice.person.is_staff = alice.person.is_superuser = True
    alice.person.save()
    return browser_of(alice.person)


@pytest.fixture
def day(call):
    call(estimated=True)
    call()
    bill(f"{DAY},echo,0.00006", f"{DAY},slow,0.5")
    (row,) = match_and_tell([(FAKE, DAY)], now=NOW)
    return row


def pages(row):
    return [
        reverse("admin:billing_providerday_changelist"),
        reverse("admin:billing_providerday_change", args=[row.pk]),
        reverse("admin:billing_providerday_export"),
        reverse("admin:billing_providerday_events", args=[row.pk]) + "?model=echo",
        reverse("admin:billing_providerstatement_changelist"),
    ]


def csv_rows(response):
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_nobody_but_the_operator_may_look(charlie, day):
    staff = charlie.person
    assert {charlie.browser.get(page).status_code for page in pages(day)} == {302}

    staff.is_staff = True
    staff.save()

    assert {browser_of(staff).get(page).status_code for page in pages(day)} == {403}


def test_the_operator_sees_every_page(browser, day):
    assert {browser.get(page).status_code for page in pages(day)} == {200}


def test_the_table_of_days_shows_the_drift(browser, day):
    text = browser.get(pages(day)[0]).content.decode()

    assert "$0.50006" in text
    assert "$0.000054" in text
    assert "+925937.04 %" in text
    assert "beyond the limit" in text


def test_a_day_shows_its_models_with_causes_that_lead_to_events(browser, day):
    text = browser.get(pages(day)[1]).content.decode()

    assert "usage that we counted because the provider reported none" in text
    assert "on the provider&#x27;s bill alone" in text
    assert "?model=echo&amp;cause=estimated" in text
    assert "bill.csv" in text


def test_events_behind_a_cause_and_all_of_the_day(browser, day):
    address = reverse("admin:billing_providerday_events", args=[day.pk])

    estimated = browser.get(f"{address}?model=echo&cause=estimated")
    whole = browser.get(f"{address}?model=echo")

    assert "1 event:" in estimated.content.decode()
    assert "2 events:" in whole.content.decode()
    assert browser.get(f"{address}?model=echo&cause=nonsense").status_code == 404
    assert browser.get(f"{address}?model=nonsense").status_code == 404
    rows = csv_rows(browser.get(f"{address}?model=echo&cause=estimated&format=csv"))
    assert [(row["cost_usd"], row["is_estimated"]) for row in rows] == [(format(COST, "f") + "000", "yes")]


def test_the_export_has_every_model_of_every_day(browser, day):
    rows = csv_rows(browser.get(pages(day)[2]))

    assert [(row["model"], row["their_bill_usd"], row["causes"]) for row in rows] == [
        ("slow", "0.500000000000", "unmatched_theirs"),
        ("echo", "0.000060000000", "estimated"),
    ]
    assert {row["day_utc"] for row in rows} == {"2026-11-24"}


def test_nothing_can_be_changed(browser, day):
    address = reverse("admin:billing_providerday_change", args=[day.pk])

    browser.post(address, {"drift_usd": 0})

    assert browser.get(reverse("admin:billing_providerday_add")).status_code == 403
    assert browser.post(reverse("admin:billing_providerday_delete", args=[day.pk])).status_code == 403
    assert ProviderDay.objects.get().drift_usd == day.drift_usd
