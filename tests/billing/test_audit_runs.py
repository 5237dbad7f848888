"""The nightly audit: kept, told to the operator, and shown to each organization as far as it is theirs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from billing.audit import audit_ledger
from billing.audit_runs import is_audit_due, latest_audit, latest_verdict, run_audit
from billing.errors import AuditTooSlow
from billing.models import LedgerAccount, LedgerAudit
from billing.operator_figures import FIGURES_KEY
from billing.price_book import load_price_book
from billing.services import top_up
from billing.tasks import prove_ledger
from tests.people import browser_of

GREEN = "page = ledger = export"


@pytest.fixture
def operator(settings):
    """Where the operator's mail goes."""
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, operator_emails=("operator@example.com",))
    return "operator@example.com"


def break_balance(organization):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_ledgeraccount SET balance_usd = 7 WHERE organization_id = %s AND kind = %s",
            [organization.pk, "prepaid_credit"],
        )


def ledger_page(somebody):
    return somebody.browser.get(reverse("ledger", args=[somebody.organization.slug])).content.decode()


def test_a_clean_audit_is_kept_with_its_rules_and_counts(alice):
    top_up(organization=alice.organization, amount_usd=Decimal(10))

    audit = run_audit()

    assert audit.is_clean
    assert (audit.transfers, audit.entries) == (audit.transfers, 2 * audit.transfers)
    assert {rule["number"] for rule in audit.rules} >= {"L1", "L2", "L5", "L10", "L15", "L24"}
    assert latest_audit() == audit


def test_the_page_says_when_it_was_checked(alice):
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    assert "Not audited yet" in ledger_page(alice)

    run_audit()

    assert GREEN in ledger_page(alice)


def test_a_difference_is_shown_to_its_organization_and_to_nobody_else(alice, charlie):
    for somebody in (alice, charlie):
        top_up(organization=somebody.organization, amount_usd=Decimal(10))
    break_balance(alice.organization)

    audit = run_audit()

    account = LedgerAccount.objects.get(organization=alice.organization, kind="prepaid_credit")
    assert audit.differences == 2
    assert "2 differences found" in ledger_page(alice)
    assert f"account {account.pk}: balance 7.000000000, entries 10.000000000" in ledger_page(alice)
    assert GREEN not in ledger_page(alice)
    assert GREEN in ledger_page(charlie)
    assert f"account {account.pk}" not in ledger_page(charlie)
    assert latest_verdict(charlie.organization, now=timezone.now()).findings == ()


def test_an_old_audit_is_called_overdue(alice):
    top_up(organization=alice.organization, amount_usd=Decimal(10))

    checked_at = run_audit().finished_at

    assert not latest_verdict(alice.organization, now=checked_at + timedelta(hours=50)).is_stale
    assert latest_verdict(alice.organization, now=checked_at + timedelta(hours=50, seconds=1)).is_stale


def test_the_operator_is_mailed_once_about_a_difference(alice, operator, caplog):
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    run_audit()
    assert mail.outbox == []
    break_balance(alice.organization)

    run_audit()

    (message,) = mail.outbox
    assert message.to == [operator]
    assert message.subject == "[Farebox] Ledger audit: 2 differ"
    assert "L2 Every account's balance is the sum of its entries: 1" in message.body
    assert f"organization {alice.organization.pk}" in message.body
    assert "ledger audit found differences" in caplog.text


def test_the_figures_of_the_metrics_follow(alice, settings):
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    break_balance(alice.organization)

    audit = run_audit()

    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL, decode_responses=True) as client:
        figures = client.hgetall(FIGURES_KEY)
    assert figures["audit_differences"] == "2"
    assert figures["audit_failed"] == "0"
    assert figures["audit_finished_at"] == str(int(audit.finished_at.timestamp()))


def test_an_audit_beyond_its_time_is_given_up_and_kept_as_such(alice, operator, settings):
    with pytest.raises(AuditTooSlow):
        audit_ledger(load_price_book(), events_kept_since=timezone.now(), limit_seconds=0)
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, audit_timeout_seconds=0)

    audit = run_audit()

    assert (audit.outcome, audit.is_clean) == ("not finished", False)
    assert "FAREBOX_AUDIT_TIMEOUT_SECONDS" in mail.outbox[0].body
    assert latest_audit() != audit


@pytest.mark.parametrize(
    ("started_at", "now", "is_due"),
    [
        ("2026-11-26T03:00:00", "2026-11-27T02:59:00", False),
        ("2026-11-26T03:00:00", "2026-11-27T03:00:00", True),
        ("2026-11-27T03:00:01", "2026-11-27T23:59:00", False),
        ("2026-11-20T03:00:00", "2026-11-27T02:00:00", True),
    ],
)
def test_an_audit_is_due_once_a_night_and_when_a_night_was_missed(db, started_at, now, is_due):
    LedgerAudit.objects.create(started_at=moment(started_at), finished_at=moment(started_at))

    assert is_audit_due(moment(now)) is is_due


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_task_audits_once(db):
    assert prove_ledger() == "clean"
    assert prove_ledger() == "not due"


def test_the_command_records_what_the_pages_show(alice, capsys):
    top_up(organization=alice.organization, amount_usd=Decimal(10))

    call_command("auditledger", "--record")

    assert f"clean; recorded as {latest_audit().pk}" in capsys.readouterr().out


def test_the_operators_page_shows_audits_and_changes_none(alice):
    break_balance(alice.organization)
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    break_balance(alice.organization)
    audit = run_audit()
    page = f"/admin/billing/ledgeraudit/{audit.pk}/change/"
    alice.person.is_staff = alice.person.is_superuser = True
    alice.person.save()
    browser = browser_of(alice.person)

    text = browser.get(page).content.decode()

    assert "Every account&#x27;s balance is the sum of its entries" in text
    assert str(alice.organization.pk) in text
    assert "2 differ" in text
    assert "(&#x27;" not in text
    assert browser.get("/admin/billing/ledgeraudit/").status_code == 200
    assert browser.post(page, {"differences": 0}).status_code == 403
