"""The whole house for tests: gateways, worker and simulator as real processes over the suite's servers.

What these tests write is committed and stays: each makes its own organization, so that they do
not meet. Processes die with the test run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connection

from accounts.models import ApiKey, Organization
from accounts.services import issue_key, set_rates
from billing.budget_services import set_budget
from billing.models import LedgerEntry, UsageEvent
from billing.money import nano_to_usd, usd_to_nano
from billing.services import top_up
from billing.tasks import keep_partitions
from config.ports import free_port
from gateway.services import connect_provider, declare_model
from tests.people import Somebody, founder
from tests.simulator_process import start_simulator

_Result = TypeVar("_Result")

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
STOP_SECONDS = 15
WAIT_SECONDS = 30.0

# Two cores run everything at once here: a call to Redis may take longer than in production.
# A Redis that begins with nothing while the ledger has something waits for two renewals.
PATIENT = {"FAREBOX_REDIS_CALL_TIMEOUT_MS": "5000", "FAREBOX_HOLD_RENEW_SECONDS": "0.5"}
# Providers are made to fail here: what one test does to them must not change what another one sees.
FORGETFUL = {
    "FAREBOX_BREAKER_FAILURES": "0",
    "FAREBOX_UPSTREAM_RETRIES": "0",
    "FAREBOX_ROUTING_EXPLORATION_SHARE": "0",
}


@dataclass
class Process:
    """One child, reachable at `url` if it serves."""

    child: subprocess.Popen[bytes]
    url: str = ""
    is_group: bool = False
    """Whether it leads a group of its own: a worker's beat is a process that outlives a killed worker."""

    @property
    def is_running(self) -> bool:
        return self.child.poll() is None

    def kill(self) -> None:
        """SIGKILL: no clean-up code runs."""
        if self.is_group:
            self.end_group()
        self.child.kill()
        self.child.wait(STOP_SECONDS)

    def end_group(self) -> None:
        """SIGKILL whatever is left of its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.is_running:
            self.child.terminate()
        try:
            return self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """To it and, if it leads a group, to all of that."""
        if self.is_group:
            os.killpg(self.child.pid, number)
        else:
            self.child.send_signal(number)


@dataclass
class House:
    """Starts processes and stops them; tells where they are."""

    simulator_url: str
    folder: Path
    processes: list[Process] = field(default_factory=list)

    def start_gateway(self, *, application: str = "config.asgi_gateway", **environment: str) -> Process:
        """A gateway process on a free port, ready to serve. `environment` overrides settings."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        log = (self.folder / f"gateway-{uuid.uuid4().hex[:6]}.log").open("wb")
        command = [sys.executable, "-m", "uvicorn", f"{application}:application", "--no-access-log"]
        command += ["--http", "config.serving:HttpProtocol"]
        # By port, not by an open socket: uvicorn takes that for a local one and leaves Nagle's delay on.
        options = ["--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "5"]
        child = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=self._environment(url, environment),
            stdout=log,
            stderr=log,
        )
        process = Process(child, url)
        self.processes.append(process)
        eventually(lambda: _is_ready(process), f"{application} at {url}, log {log.name}")
        return process

    def start_worker(self, **environment: str) -> Process:
        """A Celery worker with its beat."""
        log = (self.folder / f"worker-{uuid.uuid4().hex[:6]}.log").open("wb")
        schedule = self.folder / f"beat-{uuid.uuid4().hex[:6]}"
        command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-B", "-P", "threads"]
        options = ["-c", "2", "-l", "warning", "-s", str(schedule), "--without-gossip", "--without-mingle"]
        child = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=self._environment("", environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        process = Process(child, is_group=True)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            if process.is_running:
                process.signal(signal.SIGCONT)
                process.child.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.child.wait(STOP_SECONDS)
            if process.is_running:
                process.kill()
            if process.is_group:
                process.end_group()

    def invoice(self, **filters: str) -> list[dict[str, Any]]:
        """What the provider would bill: its own book, by request."""
        answer = httpx.get(f"{self.simulator_url}/invoice", params=filters, timeout=30)
        requests: list[dict[str, Any]] = answer.raise_for_status().json()["requests"]
        return requests

    def _environment(self, url: str, changes: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            **PATIENT,
            **FORGETFUL,
            "DATABASE_URL": database_url(),
            "SIMULATOR_URL": self.simulator_url,
            "FAREBOX_PUBLIC_URL": url or settings.FAREBOX_PUBLIC_URL,
            "FAREBOX_SPOOL_DIR": str(self.folder / "spool"),
            **changes,
        }


@dataclass
class Team:
    """An organization with credit and a key, and what came of its requests."""

    somebody: Somebody

    @property
    def organization(self) -> Organization:
        return self.somebody.organization

    @property
    def key(self) -> str:
        return self.somebody.key

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def new_key(
        self, *, budget_usd: str | None = None, window: str = "total", **limits: Any
    ) -> tuple[ApiKey, str]:
        """Another key, with limits and a budget of its own."""
        row, secret = issue_key(
            organization=self.organization,
            project=self.somebody.project,
            created_by=self.somebody.person,
            name=f"Key {uuid.uuid4().hex[:8]}",
            **limits,
        )
        if budget_usd is not None:
            self.budget(row, amount_nano=usd_to_nano(Decimal(budget_usd)), window=window)
        return row, secret

    def budget(self, key: ApiKey, *, amount_nano: int, window: str) -> None:
        """Limit what a key may spend."""
        set_budget(
            organization=self.organization,
            scope="key",
            scope_id=key.pk,
            amount_usd=nano_to_usd(amount_nano),
            window=window,
        )

    def set_rates(self, **limits: int | None) -> None:
        none = {"requests_per_minute": None, "tokens_per_minute": None, "concurrent_requests": None}
        set_rates(holder=self.organization, **{**none, **limits})

    def events(self) -> list[UsageEvent]:
        rows = UsageEvent.objects.filter(organization_id=self.organization.pk)
        return list(rows.order_by("occurred_at"))

    def wait_for_events(self, count: int) -> list[UsageEvent]:
        """The events once there are this many."""
        eventually(lambda: len(self.events()) >= count, lambda: f"{count} events, got {len(self.events())}")
        events = self.events()
        assert len(events) == count
        return events

    def only_event(self) -> UsageEvent:
        (event,) = self.wait_for_events(1)
        return event

    def charged_usd(self) -> Decimal:
        """What the ledger took from this organization's credit."""
        entries = LedgerEntry.objects.filter(
            account__organization=self.organization, account__kind="prepaid_credit", transfer__kind="charge"
        )
        return -sum((entry.amount_usd for entry in entries), Decimal(0))


def new_team(*, credit_usd: str = "100") -> Team:
    """A new organization, committed at once."""
    name = f"Team {uuid.uuid4().hex[:10]}"
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name=name)
    if Decimal(credit_usd):
        top_up(organization=somebody.organization, amount_usd=Decimal(credit_usd))
    return Team(somebody)


def furnish(folder: Path) -> House:
    """The simulator, connected as the operator's provider `fake`, and the days' partitions."""
    url = start_simulator()
    fake = connect_provider(organization=None, provider="fake", base_url=f"{url}/v1", api_key="simulator")
    declare_model(
        connection=fake,
        model="dear",
        upstream_name="ten-chunks",
        context_window_tokens=128_000,
        max_output_tokens=4_096,
        input_usd_per_million=Decimal(50),
        output_usd_per_million=Decimal(100),
    )
    keep_partitions()
    return House(url, folder)


def chat(model: str, text: str = "hello", **parameters: Any) -> dict[str, Any]:
    """The body of a small chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **parameters}


def eventually(
    condition: Callable[[], Any], what: str | Callable[[], str], *, seconds: float = WAIT_SECONDS
) -> Any:
    """The first true value of `condition`, polled; fails with `what` was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.05)


async def apart(function: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
    """Run something that uses the database beside the event loop, and give its connection back."""
    result: _Result = await database_sync_to_async(function)(*arguments, **options)
    return result


def database_url() -> str:
    """The test database, as other processes reach it."""
    row = connection.settings_dict
    return f"postgresql://{row['USER']}:{row['PASSWORD']}@{row['HOST']}:{row['PORT']}/{row['NAME']}"


def _is_ready(process: Process) -> bool:
    if not process.is_running:
        raise AssertionError(f"the gateway ended with status {process.child.returncode}")
    with suppress(httpx.HTTPError):
        return httpx.get(f"{process.url}/readyz", timeout=5).status_code == 200
    return False


@pytest.fixture(scope="session")
def house(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The simulator, connected as the operator's provider `fake`, and room for processes."""
    with django_db_blocker.unblock():
        the_house = furnish(tmp_path_factory.mktemp("house"))
    yield the_house
    the_house.stop()


@pytest.fixture(scope="session")
def gateway(house: House) -> Process:
    """One process that serves the API and the pages, as the embedded default does."""
    return house.start_gateway(application="config.asgi", FAREBOX_STARTING_CREDIT_USD="5")


@pytest.fixture(scope="session")
def worker(house: House) -> Process:
    """The worker that ingests, with its beat."""
    return house.start_worker()


@pytest.fixture
def committed(django_db_blocker: Any) -> Iterator[None]:
    """The database without a transaction around the test: other processes see what it writes."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def team(committed: None, house: House) -> Team:
    """An organization with $100 of credit and a key."""
    return new_team()
