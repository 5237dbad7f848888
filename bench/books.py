"""The books of a run: whether any budget was ever exceeded, and whether events, ledger and invoice agree.

Read from outside, as an auditor would: Redis' counters, PostgreSQL's sums, the upstream's invoice.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal

import psycopg
import redis

from bench.stage import ROOT, Counter, Stage
from billing.money import NANO_PER_USD
from billing.price_book import load_price_book
from billing.pricing import cost_of
from billing.usage import TokenUsage

WATCH_SECONDS = 0.05
DRY_SECONDS = 180.0
POLL_SECONDS = 0.1
AUDIT_SECONDS = 300
REDIS_TIMEOUT_SECONDS = 10.0
STREAM_PATTERN = "fb:*:usage"

EVENTS_SQL = """
    select ending, count(*), coalesce(sum(charge_usd), 0) from billing_usageevent group by ending order by 1
"""
CHARGES_SQL = """
    select coalesce(-sum(entry.amount_usd), 0)
      from billing_ledgerentry entry
      join billing_ledgeraccount account on account.id = entry.account_id
      join billing_ledgertransfer transfer on transfer.id = entry.transfer_id
     where account.kind = 'prepaid_credit' and transfer.kind = 'charge'
"""


@dataclass(frozen=True, slots=True)
class Books:
    """What each book says at the end of a run, in US dollars."""

    events: Mapping[str, int]
    events_usd: Decimal
    ledger_usd: Decimal
    counted_usd: Decimal
    held_usd: Decimal
    invoiced_usd: Decimal
    left_calls: int
    overshoot_usd: Decimal
    is_ledger_proven: bool


class BudgetWatch:
    """Reads the counters all the time while a load runs, and keeps the worst it saw."""

    def __init__(self, redis_url: str, counters: Sequence[Counter]) -> None:
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


def money(client: "redis.Redis", counters: Sequence[Counter]) -> list[tuple[int, int]]:
    """What each counter has spent and holds, in nano-dollars, all read at one moment."""
    with client.pipeline(transaction=True) as pipe:
        for counter in counters:
            pipe.hmget(counter.name, "s", "h")
        return [(int(spent or 0), int(held or 0)) for spent, held in pipe.execute()]


def wait_until_dry(redis_url: str) -> bool:
    """Wait until the worker has ingested every event; False when it takes too long."""
    deadline = time.monotonic() + DRY_SECONDS
    with closing(_client(redis_url)) as client:
        streams = list(client.scan_iter(STREAM_PATTERN, count=1000))
        while any(client.xlen(stream) for stream in streams):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    return True


def read_books(stage: Stage, *, overshoot_nano: int) -> Books:
    """All books once every event is ingested. Raises what PostgreSQL and Redis raise."""
    wait_until_dry(stage.environment["REDIS_URL"])
    with psycopg.connect(stage.environment["DATABASE_URL"]) as connection:
        events = connection.execute(EVENTS_SQL).fetchall()
        ((ledger_usd,),) = connection.execute(CHARGES_SQL).fetchall()
    with closing(_client(stage.environment["REDIS_URL"])) as client:
        ((spent_nano, held_nano), *_) = money(client, stage.counters)
    bill = invoice(stage).get("farebox", {})
    return Books(
        events={ending: count for ending, count, _ in events},
        events_usd=sum((charge_usd for _, _, charge_usd in events), Decimal(0)),
        ledger_usd=ledger_usd,
        counted_usd=Decimal(spent_nano) / NANO_PER_USD,
        held_usd=Decimal(held_nano) / NANO_PER_USD,
        invoiced_usd=price_of(bill),
        left_calls=bill.get("cancelled", 0),
        overshoot_usd=Decimal(overshoot_nano) / NANO_PER_USD,
        is_ledger_proven=_is_ledger_proven(stage),
    )


def invoice(stage: Stage) -> Mapping[str, Mapping[str, int]]:
    """The upstream's own sums by key."""
    with closing(http.client.HTTPConnection("127.0.0.1", stage.ports.upstream, timeout=10)) as connection:
        connection.request("GET", "/invoice")
        bill: Mapping[str, Mapping[str, int]] = json.loads(connection.getresponse().read())
    return bill


def price_of(bill: Mapping[str, int]) -> Decimal:
    """The sums of an invoice at the price book: both models of the benchmark cost the same."""
    listing = load_price_book().listing("fake", "echo")
    assert listing is not None
    usage = TokenUsage(input=bill.get("prompt_tokens", 0), output=bill.get("completion_tokens", 0))
    return Decimal(cost_of(usage, listing.prices[-1].price).total_nano) / NANO_PER_USD


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
