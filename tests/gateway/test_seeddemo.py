"""manage.py seeddemo: what it makes on the first start, and keeps on every later one."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.keys import check_format, hmac_of
from accounts.models import ApiKey, Organization, Person
from accounts.services import revoke_key
from billing.models import Budget
from billing.selectors import balance_usd
from gateway.models import ProviderConnection


class Machine:
    """One checkout of the embedded default, on which the demo is seeded again and again."""

    def __init__(self, var: Path, settings: Settings) -> None:
        self.file = var / "demo.env"
        self._settings = settings

    def start(self, *, port: int = 8000) -> str:
        """Seed as a start on these ports does, and give what it said."""
        self._settings.FAREBOX_PUBLIC_URL = f"http://127.0.0.1:{port}"
        self._settings.FAREBOX_SIMULATOR_URL = f"http://127.0.0.1:{port + 1}"
        said = StringIO()
        call_command("seeddemo", stdout=said)
        return said.getvalue()

    @property
    def variables(self) -> dict[str, str]:
        lines = self.file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def key(self) -> ApiKey:
        """The row of the key in the file."""
        secret_hmac = hmac_of(self.variables["FAREBOX_API_KEY"], self._settings.FAREBOX_KEY_PEPPER)
        return ApiKey.objects.get(secret_hmac=secret_hmac)


@pytest.fixture
def machine(db: None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Machine:
    var = tmp_path / "var with a space"
    monkeypatch.setenv("FAREBOX_VAR_DIR", str(var))
    return Machine(var, settings)


def test_the_first_start_makes_a_login_credit_and_a_key(machine: Machine) -> None:
    machine.start()

    organization = Organization.objects.get()
    assert organization.name == "Demo"
    assert balance_usd(organization) == Decimal(100)
    check_format(machine.variables["FAREBOX_API_KEY"])
    assert (machine.key.name, machine.key.requests_per_minute) == ("Demo key", 600)
    budget = Budget.objects.get()
    assert (budget.scope_id, budget.amount_usd, budget.window) == (machine.key.pk, Decimal(25), "month")
    login, password = machine.variables["FAREBOX_EMAIL"], machine.variables["FAREBOX_PASSWORD"]
    assert Client().login(email=login, password=password)


def test_the_file_is_complete_and_for_its_owner_only(machine: Machine) -> None:
    machine.start(port=8010)

    assert [*machine.variables] == [
        "FAREBOX_URL",
        "FAREBOX_API_KEY",
        "FAREBOX_EMAIL",
        "FAREBOX_PASSWORD",
        "SIMULATOR_URL",
    ]
    assert machine.variables["FAREBOX_URL"] == "http://127.0.0.1:8010"
    assert machine.variables["SIMULATOR_URL"] == "http://127.0.0.1:8011"
    assert machine.file.stat().st_mode & 0o777 == 0o600
    assert [*machine.file.parent.iterdir()] == [machine.file]


def test_the_simulator_is_the_operators_and_follows_its_port(machine: Machine) -> None:
    machine.start(port=8000)
    first = ProviderConnection.objects.get()

    machine.start(port=8020)

    second = ProviderConnection.objects.get()
    assert (second.pk, second.organization, second.provider) == (first.pk, None, "fake")
    assert (first.base_url, second.base_url) == ("http://127.0.0.1:8001/v1", "http://127.0.0.1:8021/v1")
    assert second.updated_at > first.updated_at


def test_a_later_start_changes_the_addresses_and_nothing_else(machine: Machine) -> None:
    machine.start(port=8000)
    before = machine.variables

    said = machine.start(port=8020)

    assert said == ""
    changed = {"FAREBOX_URL": "http://127.0.0.1:8020", "SIMULATOR_URL": "http://127.0.0.1:8021"}
    assert machine.variables == before | changed
    assert ApiKey.objects.count() == Person.objects.count() == Organization.objects.count() == 1
    assert balance_usd(Organization.objects.get()) == Decimal(100)


def test_a_start_on_the_same_ports_touches_no_row_and_no_file(machine: Machine) -> None:
    machine.start()
    connection, written = ProviderConnection.objects.get(), machine.file.stat().st_mtime_ns

    machine.start()

    assert ProviderConnection.objects.get().updated_at == connection.updated_at
    assert machine.file.stat().st_mtime_ns == written


def test_a_deleted_file_comes_back_with_another_key_and_password(machine: Machine) -> None:
    machine.start()
    before = machine.variables
    machine.file.unlink()

    said = machine.start()

    after = machine.variables
    assert "reset the demo password" in said
    assert "issued a demo key" in said
    assert after["FAREBOX_API_KEY"] != before["FAREBOX_API_KEY"]
    assert Client().login(email=after["FAREBOX_EMAIL"], password=after["FAREBOX_PASSWORD"])
    assert Organization.objects.count() == 1


def test_a_key_that_no_longer_works_is_replaced(machine: Machine) -> None:
    machine.start()
    before = machine.variables
    revoke_key(key=machine.key)

    said = machine.start()

    assert said == "seeddemo: issued a demo key\n"
    assert machine.key.revoked_at is None
    assert machine.variables["FAREBOX_PASSWORD"] == before["FAREBOX_PASSWORD"]


def test_no_secret_is_said(machine: Machine) -> None:
    said = machine.start()

    assert machine.variables["FAREBOX_API_KEY"] not in said
    assert machine.variables["FAREBOX_PASSWORD"] not in said


def test_production_is_refused_in_one_line(machine: Machine, settings: Settings) -> None:
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, mode="production")

    with pytest.raises(CommandError, match="FAREBOX_MODE=embedded"):
        machine.start()

    assert not Person.objects.exists()
    assert not machine.file.exists()
