"""The books of a run: whether any budget was ever exceeded, and whether events, ledger and invoice agree.

Read from outside, as an auditor would: Redis' counters, PostgreSQL's sums, the upstream's invoice.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
import redis

from bench.stage import ROOT, UPSTREAM_KEY, MoneyCounter, Stage
from billing.money import NANO_PER_USD
from billing.price_book import load_price_book
from billing.pricing import cost_of
from billing.usage import TokenUsage

WATCH_SECONDS = 0.05
SETTLED_SECONDS = 180.0
POLL_SECONDS = 0.1
AUDIT_SECONDS = 300
REDIS_TIMEOUT_SECONDS = 10.0
UPSTREAM_TIMEOUT_SECONDS = 60
STREAM_PATTERN = "fb:*:usage"
COMPLETED = "completed"

EVENTS_SQL = "select id, ending, charge_usd from billing_usageevent"
CHARGES_SQL = """
    select coalesce(-sum(entry.amount_usd), 0)
      from billing_ledgerentry entry
      join billing_ledgeraccount account on account.id = entry.account_id
      join billing_ledgertransfer transfer on transfer.id = entry.transfer_id
     where account.kind = 'prepaid_credit' and transfer.kind = 'charge'
"""


@dataclass(frozen=True, slots=True)
class Books:
    """What each book says at the end of a run, in US dollars.

    `differing` counts completed events whose charge is not their line on the invoice, `uninvoiced` charged
    events without a line. `in_flight_usd` was invoiced for answers that a client left: what the
    upstream had handed over and we had not yet read.
    """

    events: Mapping[str, int]
    differing: int
    uninvoiced: int
    in_flight_usd: Decimal
    events_usd: Decimal
    ledger_usd: Decimal
    counted_usd: Decimal
    held_usd: Decimal
    invoiced_usd: Decimal
    overshoot_usd: Decimal
    is_ledger_proven: bool


@dataclass(frozen=True, slots=True)
class Matched:
    """Usage events beside the invoice, as `Books` says it."""

    endings: Mapping[str, int]
    differing: int
    uninvoiced: int
    in_flight_usd: Decimal
    events_usd: Decimal


class BudgetWatch:
    """Reads the counters all the time while a load runs, and keeps the worst it saw."""

    def __init__(self, redis_url: str, counters: Sequence[MoneyCounter]) -> None:
        self._client = _client(redis_url)
        self._counters = counters
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.overshoot_nano = 0
        self.readings = 0

    def __enter__(self) -> "BudgetWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._read()
        self._client.close()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            self._read()

    def _read(self) -> None:
        for counter, (spent_nano, held_nano) in zip(
            self._counters, money(self._client, self._counters), strict=True
        ):
            self.overshoot_nano = max(self.overshoot_nano, spent_nano + held_nano - counter.limit_nano)
        self.readings += 1


def money(client: "redis.Redis", counters: Sequence[MoneyCounter]) -> list[tuple[int, int]]:
    """What each counter has spent and holds, in nano-dollars, all read at one moment."""
    with client.pipeline(transaction=True) as pipe:
        for counter in counters:
            pipe.hmget(counter.name, "s", "h")
        return [(int(spent or 0), int(held or 0)) for spent, held in pipe.execute()]


def wait_until_settled(stage: Stage) -> bool:
    """Wait until nothing is held and the worker has ingested every event; False when it takes too long."""
    deadline = time.monotonic() + SETTLED_SECONDS
    with closing(_client(stage.environment["REDIS_URL"])) as client:
        streams = list(client.scan_iter(STREAM_PATTERN, count=1000))
        while any(held for _, held in money(client, stage.counters)) or any(map(client.xlen, streams)):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    return True


def read_books(stage: Stage, *, overshoot_nano: int) -> Books:
    """All books once every event is ingested. Raises what PostgreSQL and Redis raise."""
    wait_until_settled(stage)
    lines = _ask_upstream(stage, "/invoice/lines")
    with psycopg.connect(stage.environment["DATABASE_URL"]) as connection:
        matched = match(connection.execute(EVENTS_SQL), lines)
        ((ledger_usd,),) = connection.execute(CHARGES_SQL).fetchall()
    with closing(_client(stage.environment["REDIS_URL"])) as client:
        ((spent_nano, held_nano), *_) = money(client, stage.counters)
    bill = _ask_upstream(stage, "/invoice").get(UPSTREAM_KEY, {})
    return Books(
        events=matched.endings,
        differing=matched.differing,
        uninvoiced=matched.uninvoiced,
        in_flight_usd=matched.in_flight_usd,
        events_usd=matched.events_usd,
        ledger_usd=ledger_usd,
        counted_usd=Decimal(spent_nano) / NANO_PER_USD,
        held_usd=Decimal(held_nano) / NANO_PER_USD,
        invoiced_usd=price_of(bill.get("prompt_tokens", 0), bill.get("completion_tokens", 0)),
        overshoot_usd=Decimal(overshoot_nano) / NANO_PER_USD,
        is_ledger_proven=_is_ledger_proven(stage),
    )


def match(events: Iterable[tuple[UUID, str, Decimal]], lines: Mapping[str, Sequence[int]]) -> Matched:
    """Lay each event beside its line on the invoice: prompt and completion tokens by the event's id."""
    endings: Counter[str] = Counter()
    differing = uninvoiced = 0
    events_usd = in_flight_usd = Decimal(0)
    for event_id, ending, charge_usd in events:
        endings[ending] += 1
        events_usd += charge_usd
        line = lines.get(str(event_id))
        if line is None:
            uninvoiced += charge_usd > 0
            continue
        difference_usd = price_of(*line) - charge_usd
        if ending == COMPLETED:
            differing += difference_usd != 0
        else:
            in_flight_usd += difference_usd
    return Matched(dict(sorted(endings.items())), differing, uninvoiced, in_flight_usd, events_usd)


@cache
def price_of(prompt_tokens: int, completion_tokens: int) -> Decimal:
    """What the price book says of so many tokens: both models of the benchmark cost the same."""
    listing = load_price_book().listing("fake", "echo")
    assert listing is not None
    usage = TokenUsage(input=prompt_tokens, output=completion_tokens)
    return Decimal(cost_of(usage, listing.prices[-1].price).total_nano) / NANO_PER_USD


def _ask_upstream(stage: Stage, path: str) -> dict[str, Any]:
    address = http.client.HTTPConnection("127.0.0.1", stage.ports.upstream, timeout=UPSTREAM_TIMEOUT_SECONDS)
    with closing(address) as connection:
        connection.request("GET", path)
        told: dict[str, Any] = json.loads(connection.getresponse().read())
    return told


def _is_ledger_proven(stage: Stage) -> bool:
    audit = subprocess.run(
        [sys.executable, "manage.py", "auditledger"],
        cwd=ROOT,
        env=dict(stage.environment),
        capture_output=True,
        timeout=AUDIT_SECONDS,
        check=False,
    )
    return audit.returncode == 0


def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )
