"""Reconciliation: a provider's bill beside our books, each difference named, and nothing half imported."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
import redis
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.utils import DatabaseError

from billing.ingest import ingest_shard
from billing.models import EventAdjustment, ProviderDay, ProviderStatement, UsageEvent
from billing.operator_figures import FIGURES_KEY
from billing.reconciliation.alerting import match_and_tell, match_recent_days, percent_words
from billing.reconciliation.formats import read_export
from billing.reconciliation.importing import Imported, import_export
from billing.reconciliation.matching import match_day, model_day_of
from billing.reconciliation.our_side import Account, events_behind
from billing.reconciliation.shapes import ExportRefused
from tests.billing.usage_events import append, event_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = date(2026, 11, 24)
FAKE = Account("fake")
# One event of tests.billing.usage_events: 7 tokens in, 10 out, $0.000027.
COST = Decimal("0.000027")


@pytest.fixture
def call(alice, redis_client, shard):
    """Ingest one event of alice's on the day, at noon unless told otherwise."""

    def ingest(at="2026-11-24T12:00:00+00:00", **changes):
        append(redis_client, shard, event_of(alice, at=at, **changes))
        ingest_shard(redis_client, shard)

    return ingest


@pytest.fixture
def operator(settings):
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, operator_emails=("operator@example.com",))


def bill(*rows, columns="day,model,cost_usd", provider="fake", organization=None, keep=False):
    text = "\n".join([columns, *rows])
    return import_export(
        export=read_export(text.encode(), file_name="bill.csv"),
        provider=provider,
        organization=organization,
        source_name="bill.csv",
        keeps_unknown_models=keep,
        now=NOW,
    )


def matched(account=FAKE, day=DAY, now=NOW):
    row = match_day(account, day, now=now)
    return {each.model: each for each in map(model_day_of, row.models_matched)}


def only(account=FAKE, day=DAY):
    (found,) = matched(account, day).values()
    return found


def test_equal_books_have_no_difference(call):
    call()
    call()
    bill(f"{DAY},echo,0.000054")

    row = match_day(FAKE, DAY, now=NOW)

    assert (row.ours_usd, row.theirs_usd, row.drift_usd, row.drift_ppm) == (2 * COST, 2 * COST, 0, 0)
    assert not row.is_drifting
    assert only().causes == ()


def test_the_day_is_the_providers_utc_day(call):
    call(at="2026-11-24T00:00:00+00:00")
    call(at="2026-11-24T23:59:59.999999+00:00", duration_ms=0)
    call(at="2026-11-23T23:59:59.999999+00:00", duration_ms=0)
    call(at="2026-11-25T00:00:00+00:00")
    call(at="2026-11-25T01:00:00+02:00")

    bill(f"{DAY},echo,0")

    assert only().ours_usd == 3 * COST
    assert only().ours.requests == 3


@pytest.mark.parametrize(
    ("changes", "billed", "causes"),
    [
        ({"estimated": True}, "0.00003", ("estimated",)),
        ({"estimated": True}, "0.00002", ("estimated",)),
        ({"ending": "recovered", "estimated": True}, "0.00003", ("recovered",)),
        ({"ending": "client_left", "estimated": True}, "0.00003", ("cancelled",)),
        ({"ending": "cut", "estimated": True}, "0.00003", ("cancelled",)),
        ({"at": "2026-11-24T23:59:59+00:00", "duration_ms": 1001}, "0.00001", ("over_midnight",)),
        ({"at": "2026-11-24T23:59:59+00:00", "duration_ms": 999}, "0.00001", ("unexplained",)),
        ({}, "0.00003", ("unexplained",)),
    ],
)
def test_a_difference_is_named_after_the_doubt_there_is(call, changes, billed, causes):
    call(**changes)
    bill(f"{DAY},echo,{billed}")

    assert only().causes == causes
    assert only().difference_usd == Decimal(billed) - COST


def attempt(**changes):
    return {
        "provider": "fake",
        "model": "echo",
        "status_code": 503,
        "error_type": "x",
        "succeeded": False,
    } | changes


@pytest.mark.parametrize(
    ("failed", "causes"),
    [
        (attempt(), ("failed_attempts",)),
        (attempt(status_code=None), ("failed_attempts",)),
        (attempt(status_code=200), ("failed_attempts",)),
        (attempt(status_code=429), ("unexplained",)),
        (attempt(status_code=None, error_type="request_cancelled"), ("unexplained",)),
        (attempt(provider="other"), ("unexplained",)),
    ],
)
def test_failed_attempts_may_be_billed_without_a_charge(call, failed, causes):
    call(attempts=[failed, attempt(status_code=200, succeeded=True)])
    bill(f"{DAY},echo,0.000054")

    assert only().causes == causes


def test_a_model_that_failed_alone_is_billed_for_its_attempts(call):
    call(attempts=[attempt(model="slow"), attempt(status_code=200, succeeded=True)])
    bill(f"{DAY},echo,0.000027", f"{DAY},slow,0.00001")

    assert matched()["echo"].causes == ()
    assert matched()["slow"].causes == ("failed_attempts",)
    assert matched()["slow"].doubts == {"failed_attempts": (1, Decimal(0))}


def test_several_doubts_are_named_together_and_no_amount_is_split_by_guess(call):
    call(estimated=True)
    call(ending="recovered", estimated=True)
    bill(f"{DAY},echo,0.00006")

    assert only().causes == ("estimated", "recovered")
    assert only().cause_words == (
        "usage that we counted because the provider reported none"
        " or requests recovered after a crash, with the last reading"
    )


def test_a_doubt_cannot_take_off_more_than_it_cost(call):
    call(estimated=True)
    call()
    call()
    bill(f"{DAY},echo,0.000010")

    assert only().causes == ("unexplained",)


def test_equal_tokens_at_another_price_are_named_so(call):
    call(estimated=True)
    columns = "day,model,cost_usd,requests,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens"
    bill(f"{DAY},echo,0.00003,1,7,0,0,10", columns=columns)

    assert only().causes == ("price",)


def test_what_stands_on_one_side_alone_is_named_after_the_side(call):
    call()
    bill(f"{DAY},slow,0.5", f"{DAY},,0.25", f"{DAY},brand-new,0.125", keep=True)

    found = matched()

    assert {name: each.causes for name, each in found.items()} == {
        "echo": ("unmatched_ours",),
        "slow": ("unmatched_theirs",),
        "": ("other_service",),
        "brand-new": ("unknown_model",),
    }


def test_a_providers_names_are_mapped_by_the_price_book(alice, redis_client, shard):
    event = event_of(
        alice, at="2026-11-24T12:00:00+00:00", provider="openai", model="gpt-4o", price_version="x"
    )
    append(redis_client, shard, event)
    ingest_shard(redis_client, shard)
    bill(
        f"{DAY},gpt-4o-2024-08-06,0.00001",
        f"{DAY},gpt-4o-2024-11-20,0.00001",
        f"{DAY},gpt-4o,0.000007",
        provider="openai",
    )

    assert only(Account("openai")).causes == ()


def test_usage_without_costs_is_priced_at_our_prices(call):
    call()
    bill(
        f"{DAY},echo,3,1000000,0,0",
        columns="day,model,requests,input_tokens,cached_input_tokens,output_tokens",
    )

    found = only()

    assert (found.theirs_usd, found.is_priced_by_us) == (Decimal(1), True)
    assert (found.theirs.requests, found.ours.requests) == (3, 1)


def test_a_rerated_cost_is_the_one_that_is_matched(call):
    call()
    event = UsageEvent.objects.get(model="echo", occurred_at__date=DAY)
    EventAdjustment.objects.create(
        event_id=event.id,
        occurred_at=event.occurred_at,
        organization_id=event.organization_id,
        ordinal=1,
        price_version=event.price_version,
        cost_usd=Decimal("0.000003"),
        charge_usd=Decimal(0),
    )
    bill(f"{DAY},echo,0.00003")

    assert only().ours_usd == Decimal("0.00003")
    assert only().causes == ()


def test_own_credentials_are_matched_apart(alice, charlie, call):
    call()
    call(own=True, charge_nano=0)
    bill(f"{DAY},echo,0.000027")
    bill(f"{DAY},echo,0.00003", organization=alice.organization)
    bill(f"{DAY},echo,0.00003", organization=charlie.organization)

    assert only().causes == ()
    assert only(Account("fake", alice.organization.pk)).ours_usd == COST
    assert only(Account("fake", charlie.organization.pk)).ours_usd == 0


def test_refused_requests_are_not_looked_for_on_the_bill(call):
    call(status=402, ending="refused", usage={}, cost_nano=0, charge_nano=0)
    bill(f"{DAY},echo,0.00001")

    assert only().causes == ("unmatched_theirs",)


def test_the_same_export_twice_changes_nothing(call):
    call()
    first = bill(f"{DAY},echo,0.000027", f"{DAY},slow,1")
    again = bill(f"{DAY},slow,1.000", f"{DAY},echo,0.0000270")

    assert first == Imported(changed=(DAY,), unchanged=())
    assert again == Imported(changed=(), unchanged=(DAY,))
    assert ProviderStatement.objects.count() == 1


def test_a_correction_counts_from_then_on_and_both_are_kept(call):
    call()
    bill(f"{DAY},echo,0.00003")
    assert only().causes == ("unexplained",)

    assert bill(f"{DAY},echo,0.000027").changed == (DAY,)

    assert only().causes == ()
    amounts = [statement.lines.get().amount_usd for statement in ProviderStatement.objects.order_by("pk")]
    assert amounts == [Decimal("0.00003"), COST]


def test_a_correction_back_to_what_was_said_first_counts_again(call):
    for amount in ("0.00003", "0.000027", "0.00003"):
        bill(f"{DAY},echo,{amount}")

    assert only().theirs_usd == Decimal("0.00003")
    assert ProviderStatement.objects.count() == 3


def test_what_a_provider_said_cannot_be_changed_in_sql(call):
    bill(f"{DAY},echo,1")

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute("UPDATE billing_providerstatementline SET amount_usd = 0")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [f"{DAY},echo,1", f"{DAY},no-such-model,1"],
            "bill.csv, line 3: 'no-such-model': the price book has no such model of fake",
        ),
        ([f"{DAY},echo,1", "2026-11-28,echo,1"], "bill.csv, line 3: day must be after 2025-10-23"),
        (
            ["2025-10-23,echo,1"],
            "bill.csv, line 2: day must be after 2025-10-23, from when our events are kept",
        ),
    ],
)
def test_a_wrong_bill_is_refused_and_nothing_of_it_imported(db, rows, message):
    with pytest.raises(ExportRefused, match="^" + message[:20]) as refused:
        bill(*rows)

    assert str(refused.value).startswith(message)
    assert ProviderStatement.objects.count() == 0


def test_an_unknown_provider_is_refused(db):
    with pytest.raises(ExportRefused, match=r"provider must be one of .*openai.*, got 'opnai'"):
        bill(f"{DAY},echo,1", provider="opnai")


def test_drift_is_beyond_the_setting_from_its_first_millionth(call, settings):
    for _ in range(200):
        call()
    bill(f"{DAY},echo,0.005427")  # 0.5 % of $0.0054 more
    assert not match_day(FAKE, DAY, now=NOW).is_drifting

    bill(f"{DAY},echo,0.005427000001")
    row = match_day(FAKE, DAY, now=NOW)

    assert row.is_drifting
    assert percent_words(row) == "+0.50 %"
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, reconciliation_drift_percent=0.6)
    assert not match_day(FAKE, DAY, now=NOW).is_drifting


def test_less_on_the_bill_drifts_as_more_does(call):
    call()
    bill(f"{DAY},echo,0.000020")

    assert match_day(FAKE, DAY, now=NOW).is_drifting


def test_a_bill_for_nothing_of_ours_drifts(db):
    bill(f"{DAY},echo,0.000000000001")

    row = match_day(FAKE, DAY, now=NOW)

    assert (row.is_drifting, row.drift_ppm, percent_words(row)) == (True, None, "no cost of ours")


def test_a_day_that_is_not_over_does_not_drift_yet(call):
    today = NOW.date()
    call(at="2026-11-27T01:00:00+00:00")
    bill(f"{today},echo,0.00001")

    assert not match_day(FAKE, today, now=NOW).is_drifting
    assert match_day(FAKE, today, now=NOW + timedelta(days=1)).is_drifting


def test_the_operator_is_told_once_for_each_drift(call, operator, caplog):
    call(estimated=True)
    bill(f"{DAY},echo,0.00003")

    match_and_tell([(FAKE, DAY)], now=NOW)
    match_recent_days(now=NOW + timedelta(hours=1))

    (message,) = mail.outbox
    assert message.subject == "[Farebox] Provider bills: 1 day beyond the allowed drift"
    assert "fake on 2026-11-24 (UTC), the operator's account: the provider bills $0.00003," in message.body
    assert "our cost is $0.000027: +11.11 %" in message.body
    assert "echo: $0.000003, usage that we counted because the provider reported none" in message.body
    assert "provider's bill drifts" in caplog.text
    bill(f"{DAY},echo,0.00004")
    match_recent_days(now=NOW)
    assert len(mail.outbox) == 2


def test_the_metrics_show_the_latest_drift_of_each_provider(call, settings):
    call()
    bill(f"{DAY},echo,0.00003")

    match_and_tell([(FAKE, DAY)], now=NOW)

    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL, decode_responses=True) as client:
        figures = client.hgetall(FIGURES_KEY)
    assert (figures["drifting_days"], figures["drift_ppm:fake"]) == ("1", "111111")


def test_late_events_are_found_by_the_next_match(call):
    call()
    bill(f"{DAY},echo,0.000054")
    match_recent_days(now=NOW)
    assert ProviderDay.objects.get().drift_usd == COST

    call()
    match_recent_days(now=NOW)

    assert ProviderDay.objects.get().drift_usd == 0


def test_days_further_back_than_the_setting_are_left_alone(db):
    bill("2026-11-20,echo,1")
    assert [row.day for row in match_recent_days(now=NOW)] == [date(2026, 11, 20)]

    assert match_recent_days(now=NOW + timedelta(days=1)) == []


def test_the_events_behind_a_doubt(call):
    call(estimated=True)
    call(ending="client_left", estimated=True)
    call(attempts=[attempt(), attempt(status_code=200, succeeded=True)])
    call(at="2026-11-24T23:59:59+00:00", duration_ms=5000)

    def behind(doubt, models=("echo",)):
        return events_behind(FAKE, DAY, models=list(models), doubt=doubt).count()

    assert [behind(doubt) for doubt in ("estimated", "cancelled", "failed_attempts", "over_midnight")] == [
        1
    ] * 4
    assert (behind("recovered"), behind(""), behind("", ["slow"])) == (0, 4, 0)


def test_the_command_imports_and_says_what_came_of_it(call, tmp_path):
    call()
    path = tmp_path / "fake.csv"
    path.write_text(f"day,model,cost_usd\n{DAY},echo,0.00003\n")
    out = StringIO()

    call_command("importproviderusage", "fake", str(path), stdout=out)
    call_command("importproviderusage", "fake", str(path), stdout=out)

    assert out.getvalue().splitlines() == [
        "2026-11-24  imported  bills $0.00003, our cost $0.000027, +11.11 % DRIFTS",
        "2026-11-24 unchanged  bills $0.00003, our cost $0.000027, +11.11 % DRIFTS",
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("day,model\n", [], "fake.csv, line 1: there must be a column 'cost_usd' or columns of tokens."),
        ("day,model,cost\n2026-11-24,nobody,1\n", [], "fake.csv, line 2: 'nobody': the price book has no"),
        (
            "day,model,cost\n2026-11-24,echo,1\n",
            ["--organization", "nowhere"],
            "There is no organization 'nowhere'.",
        ),
    ],
)
def test_the_command_refuses_with_file_line_and_field(db, tmp_path, text, arguments, message):
    path = tmp_path / "fake.csv"
    path.write_text(text)

    with pytest.raises(CommandError) as refused:
        call_command("importproviderusage", "fake", str(path), *arguments)

    assert str(refused.value).startswith(message)


def test_the_command_keeps_unknown_models_if_told_so(db, tmp_path, capsys):
    path = tmp_path / "fake.csv"
    path.write_text(f"day,model,cost\n{DAY},nobody,1\n")

    call_command("importproviderusage", "fake", str(path), "--unknown-models", "keep")

    assert "bills $1.00, our cost $0.00, no cost of ours DRIFTS" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(db, tmp_path):
    with pytest.raises(CommandError, match=r"missing\.csv cannot be read: No such file or directory\."):
        call_command("importproviderusage", "fake", str(tmp_path / "missing.csv"))
