"""Ingestion: whatever arrives, however often and in whatever order, Σ events = Σ ledger = what was spent.

Crashes come between the steps: before the commit, after it and before the acknowledgement, or in the
midst of acknowledging. A run that fails is pinned as an `@example` with its repair.
"""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings as configured
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from billing.ingest import ingest_shard
from billing.models import LedgerEntry, LedgerTransfer, UsageEvent
from billing.money import nano_to_usd
from billing.usage_stream import dead_letter_key, stream_key
from tests.billing.usage_events import append, event_of
from tests.people import Somebody, founder

SHARD = 998
EXAMPLES = 30
MALFORMED = ({"v": 1}, {"v": 2, "id": "no"}, {"charge_nano": -1}, [])


class Crash(Exception):
    """The worker dies here."""


class DiesAcknowledging(redis.Redis):
    """A Redis that dies when the entries are to be acknowledged: before, or when half of it is done.

    What is sent as one transaction is done wholly or not at all.
    """

    is_half_done = False

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        pipe = super().pipeline(*args, **kwargs)
        whole = pipe.execute

        def execute(*args: Any, **kwargs: Any) -> Any:
            if self.is_half_done and not pipe.transaction:
                pipe.command_stack = pipe.command_stack[: len(pipe.command_stack) // 2]
            if self.is_half_done:
                whole(*args, **kwargs)
            raise redis.ConnectionError("gone")

        pipe.execute = execute
        return pipe


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 1), st.sampled_from((0, 1, 999, 27_000, 10**12))),
        st.tuples(st.just("arrive again"), st.integers(0, 30), st.integers(0, 2)),
        st.tuples(st.just("arrive malformed"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("arrive from a stranger"), st.just(0), st.just(0)),
        st.tuples(st.just("arrive unstorable"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("ingest"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("die before the commit"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("die acknowledging"), st.integers(1, 12), st.integers(0, 1)),
    ),
    min_size=5,
    max_size=30,
)


class Books:
    """The stream, the tables, and what was spent by plain counting."""

    def __init__(self, client: redis.Redis, people: list[Somebody]) -> None:
        self._client, self._people = client, people
        self._sent: list[dict[str, Any]] = []
        self._spent: dict[str, int] = {}
        self._dead: set[bytes] = set()
        client.delete(stream_key(SHARD), dead_letter_key(SHARD))

    def take(self, step: tuple[str, int, int]) -> None:
        name, number, detail = step
        if name == "arrive":
            self._arrive(event_of(self._people[number], cost_nano=detail, charge_nano=detail))
        elif name == "arrive again" and self._sent:
            self._arrive_again(self._sent[number % len(self._sent)], detail)
        elif name == "arrive malformed":
            self._set_aside(MALFORMED[number])
        elif name == "arrive from a stranger":
            self._set_aside(event_of(self._people[0], organization=uuid.uuid4().hex))
        elif name == "arrive unstorable":
            # PostgreSQL has no such offset from UTC.
            self._set_aside(event_of(self._people[number], at="2026-11-21T00:00:00+23:59"))
        elif name == "ingest":
            ingest_shard(self._client, SHARD, max_events=number)
        elif name.startswith("die"):
            self._die(name, number, is_half_done=bool(detail))

    def agree(self) -> None:
        """At every moment, what is stored is stored once, and posted as it is stored."""
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        events = {event.id.hex: event.charge_usd for event in self._events()}
        posted = {entry.transfer_id.hex: -entry.amount_usd for entry in self._charges()}
        assert posted == {number: charge for number, charge in events.items() if charge}
        assert events.items() <= {n: nano_to_usd(nano) for n, nano in self._spent.items()}.items()
        assert len(events) == self._events().count()

    def agree_at_rest(self) -> None:
        """When all is ingested: every event, every transfer, every dead letter, each once."""
        while ingest_shard(self._client, SHARD):
            pass
        self.agree()
        letters = [fields[b"e"] for _, fields in self._client.xrange(dead_letter_key(SHARD))]
        total = self._events().aggregate(total=Sum("charge_usd"))["total"]
        assert (total or Decimal(0)) == self._spent_usd()
        assert {event.id.hex for event in self._events()} == set(self._spent)
        assert -sum(entry.amount_usd for entry in self._charges()) == self._spent_usd()
        assert set(letters) == self._dead
        assert self._client.xlen(stream_key(SHARD)) == 0

    def _arrive(self, event: dict[str, Any]) -> None:
        self._sent.append(event)
        self._spent.setdefault(event["id"], event["charge_nano"])
        append(self._client, SHARD, event)

    def _arrive_again(self, event: dict[str, Any], times: int) -> None:
        """Word by word, or as another process reports it: to the millisecond only."""
        twin = {**event, "at": event["at"][:23] + "+00:00"} if times == 2 else event
        append(self._client, SHARD, *[twin] * max(1, times))

    def _set_aside(self, event: Any) -> None:
        self._dead.add(orjson.dumps(event))
        append(self._client, SHARD, event)

    def _die(self, name: str, most: int, *, is_half_done: bool) -> None:
        with DiesAcknowledging(connection_pool=self._client.connection_pool) as dying:
            dying.is_half_done = is_half_done and name == "die acknowledging"
            try:
                with transaction.atomic():
                    try:
                        ingest_shard(dying, SHARD, max_events=most)
                    except redis.ConnectionError:
                        if name == "die before the commit":
                            raise Crash from None
            except Crash:
                pass

    def _events(self) -> Any:
        return UsageEvent.objects.filter(organization_id__in=[each.organization.pk for each in self._people])

    def _charges(self) -> Any:
        return LedgerEntry.objects.filter(
            account__organization__in=[each.organization for each in self._people],
            account__kind="prepaid_credit",
            transfer__kind=LedgerTransfer.Kind.CHARGE,
        )

    def _spent_usd(self) -> Decimal:
        return nano_to_usd(sum(self._spent.values()))


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(configured.FAREBOX_REDIS_URL) as client:
        yield client
        client.delete(stream_key(SHARD), dead_letter_key(SHARD))


@pytest.fixture
def people(db: None) -> list[Somebody]:
    return [founder(f"{name}@example.com", organization_name=name.title()) for name in ("dora", "emil")]


def test_each_event_is_stored_and_posted_once_whatever_dies(
    client: redis.Redis, people: list[Somebody]
) -> None:
    @seed(20261127)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(STEPS)
    @example([("arrive", 0, 27_000), ("die acknowledging", 12, 1), ("arrive again", 0, 2), ("ingest", 12, 0)])
    @example([("arrive malformed", 0, 0), ("arrive", 1, 1), ("die before the commit", 12, 0)])
    def run(steps: list[tuple[str, int, int]]) -> None:
        with transaction.atomic():
            books = Books(client, people)
            for step in steps:
                books.take(step)
                books.agree()
            books.agree_at_rest()
            transaction.set_rollback(True)

    run()
