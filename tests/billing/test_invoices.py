"""Invoices: one for each closed month, numbered without gaps, never changed; later changes get notes."""

import hashlib
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connections, transaction
from django.db.utils import IntegrityError
from django.urls import reverse

from billing.invoices import issue_documents, issue_due_documents
from billing.ledger import AccountKind, Leg, Transfer, TransferKind, charge_legs, credit_legs, post_transfers
from billing.models import BillingProfile, Invoice, InvoiceCounter, LedgerAccount
from billing.profiles import set_invoice_head
from tests.house import eventually
from tests.people import founder
from tests.waiting import waiting_sessions

NOVEMBER = datetime(2026, 11, 1, 6, tzinfo=UTC)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def post(somebody, kind, legs, moment, description):
    with transaction.atomic():
        transfer = Transfer(
            organization_id=somebody.organization.pk,
            kind=kind,
            legs=legs,
            occurred_at=at(moment),
            description=description,
        )
        assert post_transfers([transfer])


def charge(somebody, amount, moment, description="openai/gpt-5"):
    legs = charge_legs(charge_usd=Decimal(amount), cost_usd=Decimal(0))
    post(somebody, TransferKind.CHARGE, legs, moment, description)


def fee(somebody, amount, moment):
    """What is billed without a request, so that it may be committed without an event."""
    legs = (Leg(AccountKind.PREPAID_CREDIT, -Decimal(amount)), Leg(AccountKind.FEES, Decimal(amount)))
    post(somebody, TransferKind.FEE, legs, moment, "Fee of payment")


def credit(somebody, amount, moment, kind=TransferKind.TOP_UP, source="payments"):
    legs = credit_legs(source=LedgerAccount.Kind(source), amount_usd=Decimal(amount))
    post(somebody, kind, legs, moment, kind.label)


@pytest.fixture
def october(alice):
    """A month of alice's: $50 bought, usage of two models, and one of the last second."""
    credit(alice, "50", "2026-10-02T09:00:00")
    charge(alice, "1.25", "2026-10-03T10:00:00")
    charge(alice, "0.000000001", "2026-10-04T10:00:00")
    charge(alice, "2", "2026-10-31T23:59:59", "anthropic/claude")
    return alice


def documents(somebody):
    return list(Invoice.objects.filter(organization=somebody.organization).order_by("number"))


def test_a_closed_month_gets_its_invoice_once(october):
    assert issue_documents(october.organization, NOVEMBER) == 1
    assert issue_documents(october.organization, NOVEMBER) == 0

    (invoice,) = documents(october)
    assert (invoice.kind, invoice.total_usd) == ("invoice", Decimal("3.250000001"))
    assert (invoice.starts_at, invoice.ends_at) == (at("2026-10-01T00:00:00"), at("2026-11-01T00:00:00"))
    html = bytes(invoice.html).decode()
    assert "$3.250000001" in html
    assert "Usage: anthropic/claude" in html
    assert "1 October 2026 to 31 October 2026 (UTC)" in html


def test_a_month_is_not_invoiced_before_it_has_closed_and_late_usage_had_its_time(october):
    assert issue_documents(october.organization, at("2026-11-01T05:59:59")) == 0

    assert issue_documents(october.organization, at("2026-11-01T06:00:00")) == 1


def test_the_month_is_the_organizations_own(alice):
    set_invoice_head(
        organization=alice.organization, legal_name="", address="", tax_id="", time_zone="Asia/Tokyo"
    )
    charge(alice, "1", "2026-10-31T14:59:59")
    charge(alice, "2", "2026-10-31T15:00:00")

    issue_documents(alice.organization, at("2026-12-02T00:00:00"))

    totals = [(each.starts_at, each.total_usd) for each in documents(alice)]
    assert totals == [(at("2026-09-30T15:00:00"), 1), (at("2026-10-31T15:00:00"), 2)]


def test_a_changed_time_zone_leaves_no_gap_and_bills_nothing_twice(october):
    issue_documents(october.organization, NOVEMBER)
    set_invoice_head(
        organization=october.organization, legal_name="", address="", tax_id="", time_zone="Asia/Tokyo"
    )
    charge(october, "5", "2026-11-05T00:00:00")

    issue_documents(october.organization, at("2026-12-02T00:00:00"))

    first, second = documents(october)
    assert second.starts_at == first.ends_at == at("2026-11-01T00:00:00")
    assert (second.ends_at, second.total_usd) == (at("2026-11-30T15:00:00"), 5)


def test_months_without_anything_billed_have_no_invoice(october):
    charge(october, "4", "2027-02-03T00:00:00")

    assert issue_documents(october.organization, at("2027-03-02T00:00:00")) == 2

    assert [each.starts_at.month for each in documents(october)] == [10, 2]


def test_numbers_have_no_gaps_over_all_organizations(october, charlie):
    charge(charlie, "1", "2026-10-05T00:00:00")
    before = InvoiceCounter.objects.filter(pk=1).values_list("last_number", flat=True).first() or 0

    issue_due_documents(NOVEMBER)

    numbers = list(
        Invoice.objects.filter(number__gt=before).order_by("number").values_list("number", flat=True)
    )
    assert numbers == [before + 1, before + 2]
    assert Invoice.objects.get(number=before + 1).name == f"FB-{before + 1:06d}"


def test_a_number_whose_document_failed_is_given_to_the_next(october, charlie):
    charge(charlie, "1", "2026-10-05T00:00:00")

    with transaction.atomic():
        issue_documents(october.organization, NOVEMBER)
        transaction.set_rollback(True)
    issue_documents(charlie.organization, NOVEMBER)

    assert InvoiceCounter.objects.get(pk=1).last_number == documents(charlie)[0].number
    assert documents(october) == []


def test_usage_that_comes_late_is_a_supplementary_invoice_and_the_first_stays(october):
    issue_documents(october.organization, NOVEMBER)
    (invoice,) = documents(october)
    charge(october, "0.5", "2026-10-20T00:00:00")

    assert issue_documents(october.organization, NOVEMBER) == 1
    assert issue_documents(october.organization, NOVEMBER) == 0

    first, note = documents(october)
    assert (first.html_sha256, first.pdf_sha256) == (invoice.html_sha256, invoice.pdf_sha256)
    assert (note.kind, note.corrects, note.total_usd) == ("supplement", first, Decimal("0.5"))


def test_an_adjustment_of_an_invoiced_month_is_a_credit_note(october):
    issue_documents(october.organization, NOVEMBER)
    credit(october, "1", "2026-10-25T00:00:00", TransferKind.ADJUSTMENT, "adjustment")

    issue_documents(october.organization, NOVEMBER)

    first, note = documents(october)
    assert (note.kind, note.corrects, note.total_usd) == ("credit_note", first, -1)
    assert f"<dd>{first.name}</dd>" in bytes(note.html).decode()


def test_an_adjustment_of_the_open_month_is_on_its_own_invoice(october):
    credit(october, "1", "2026-10-25T00:00:00", TransferKind.ADJUSTMENT, "adjustment")

    issue_documents(october.organization, NOVEMBER)

    (invoice,) = documents(october)
    assert invoice.total_usd == Decimal("2.250000001")


def test_credit_that_came_late_changes_no_invoice(october):
    issue_documents(october.organization, NOVEMBER)
    credit(october, "10", "2026-10-25T00:00:00")

    assert issue_documents(october.organization, NOVEMBER) == 0


def test_usage_of_a_month_that_was_skipped_gets_that_months_invoice(october):
    charge(october, "4", "2026-12-03T00:00:00")
    issue_documents(october.organization, at("2027-01-02T00:00:00"))
    charge(october, "7", "2026-11-15T00:00:00")

    issue_documents(october.organization, at("2027-01-02T00:00:00"))

    *_, late = documents(october)
    assert (late.kind, late.total_usd, late.starts_at.month) == ("invoice", 7, 11)


def test_the_credit_is_shown_from_its_start_to_its_end(october):
    charge(october, "4", "2026-11-03T00:00:00")
    credit(october, "5", "2026-11-04T00:00:00", TransferKind.PROMOTION, "promotion")

    issue_documents(october.organization, at("2026-12-02T00:00:00"))

    text = bytes(documents(october)[1].html).decode()
    assert "$46.749999999" in text  # at the start of November
    assert "$47.749999999" in text  # at its end


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total_usd = 0",
        "UPDATE billing_invoice SET pdf = ''::bytea",
        "DELETE FROM billing_invoice",
        "TRUNCATE billing_invoice CASCADE",
    ],
)
def test_an_issued_invoice_cannot_be_changed_in_sql(october, statement):
    issue_documents(october.organization, NOVEMBER)

    with connections["default"].cursor() as cursor, transaction.atomic():
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            cursor.execute(statement)


def test_the_pdf_is_what_was_issued_and_holds_any_script(october):
    set_invoice_head(
        organization=october.organization,
        legal_name="Łódź Ωmega Жук GmbH <script>",
        address="Straße 1\nZürich",
        tax_id="CHE-1",
        time_zone="UTC",
    )
    issue_documents(october.organization, NOVEMBER)
    (invoice,) = documents(october)

    page = october.browser.get(reverse("invoice", args=[october.organization.slug, invoice.pk]))
    pdf = october.browser.get(reverse("invoice_pdf", args=[october.organization.slug, invoice.pk]))

    assert pdf.content.startswith(b"%PDF-")
    assert hashlib.sha256(pdf.content).hexdigest() == invoice.pdf_sha256
    assert pdf.headers["Content-Disposition"] == f'attachment; filename="{invoice.name}.pdf"'
    assert invoice.pdf_sha256 in page.content.decode()
    assert "Łódź Ωmega Жук GmbH &lt;script&gt;" in page.content.decode()


def test_what_is_set_later_stands_on_later_invoices_alone(october):
    issue_documents(october.organization, NOVEMBER)
    (before,) = documents(october)

    set_invoice_head(
        organization=october.organization, legal_name="Renamed", address="", tax_id="", time_zone="UTC"
    )

    page = october.browser.get(reverse("invoice", args=[october.organization.slug, before.pk]))
    assert "Renamed" not in page.content.decode()


def test_an_organization_that_fails_does_not_keep_the_others_from_their_invoices(october, charlie, caplog):
    fee(charlie, "1", "2026-10-03T10:00:00")
    BillingProfile.objects.update_or_create(
        organization=october.organization, defaults={"time_zone": "No/Where"}
    )

    assert issue_due_documents(NOVEMBER) == 1

    assert len(documents(charlie)) == 1
    (line,) = [record for record in caplog.records if record.message == "one of many failed"]
    assert line.item == str(october.organization.pk)


def test_racing_workers_issue_one_invoice(committed, django_db_setup):
    somebody = founder("invoice-race@example.com", organization_name="Invoice race")
    fee(somebody, "1", "2026-10-03T10:00:00")

    def race():
        try:
            issue_documents(somebody.organization, NOVEMBER)
        finally:
            connections.close_all()

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    (invoice,) = documents(somebody)
    assert invoice.total_usd == 1


def test_racing_workers_issue_one_invoice_of_a_month_into_which_nothing_came_since(
    committed, django_db_setup
):
    somebody = founder("invoice-calm-race@example.com", organization_name="Calm invoice race")
    fee(somebody, "1", "2026-10-03T10:00:00")
    assert issue_documents(somebody.organization, at("2026-10-20T10:00:00")) == 0
    issued = []

    def race():
        try:
            issued.append(issue_documents(somebody.organization, NOVEMBER))
        finally:
            connections.close_all()

    racers = [threading.Thread(target=race) for _ in range(2)]
    with transaction.atomic():
        BillingProfile.objects.select_for_update().get(pk=somebody.organization.pk)
        for racer in racers:
            racer.start()
        eventually(lambda: waiting_sessions() == 2, "both to wait for the profile")
    for racer in racers:
        racer.join()

    assert sorted(issued) == [0, 1]
    assert len(documents(somebody)) == 1
