"""Notes of who has spent: written with the events, and only where an alert waits for them."""

import uuid
from decimal import Decimal

from billing.budget_services import BudgetTerms, create_budget
from billing.ingest import ingest_shard
from billing.models import SpendingNote
from tests.billing.usage_events import append, event_of


def test_ingestion_notes_who_spent_and_only_what_alerts_wait_for(alice, charlie, redis_client, shard):
    said = {"amount_usd": Decimal(10), "window": "month"}
    each = BudgetTerms(scope="end_user", is_each=True, **said)
    quiet = BudgetTerms(scope="organization", alert_percents=(), **said)
    create_budget(organization=alice.organization, terms=each)
    create_budget(organization=charlie.organization, terms=quiet)
    free = event_of(alice, cost_nano=0, charge_nano=0, id=uuid.uuid4().hex, end_user="nobody")
    append(redis_client, shard, event_of(alice), event_of(alice, end_user="user-2"), free, event_of(charlie))

    ingest_shard(redis_client, shard)

    notes = SpendingNote.objects.values_list("organization__slug", "scope", "subject")
    assert sorted(notes) == [
        ("acme", "", ""),
        ("acme", "end_user", "user-1"),
        ("acme", "end_user", "user-2"),
    ]


def test_noting_twice_leaves_one_note(alice, redis_client, shard):
    terms = BudgetTerms(scope="organization", amount_usd=Decimal(10), window="month")
    create_budget(organization=alice.organization, terms=terms)

    for _ in range(2):
        append(redis_client, shard, event_of(alice))
        ingest_shard(redis_client, shard)

    assert SpendingNote.objects.count() == 1
