"""Changes of one thing at the same moment: what was confirmed stays.

What these tests write is committed and stays; each has its own organization.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connections

from billing.budget_services import BudgetTerms, create_budget, set_budget, terms_of, update_budget
from billing.errors import InvalidBudget
from billing.models import Budget
from gateway.limit_services import set_organization_budget
from tests.api.conftest import Caller, caller_of
from tests.people import Somebody, founder

ROUNDS = 5
RATES = {"requests_per_minute": 11, "tokens_per_minute": 12, "concurrent_requests": 13}


@pytest.fixture
def settler(django_db_setup: None, django_db_blocker) -> Iterator[Somebody]:
    """The owner of a new organization, in the database without a transaction around the test."""
    with django_db_blocker.unblock():
        name = f"at-once-{uuid.uuid4().hex}"
        yield founder(f"{name}@example.com", organization_name=name)
        connections.close_all()


@pytest.fixture
def caller(settler: Somebody) -> Caller:
    return caller_of(settler)


def all_at_once(calls: list[Callable[[], object]]) -> list[object]:
    """What each call gave, run by as many threads that begin together."""
    start = Barrier(len(calls))

    def outcome(call: Callable[[], object]) -> object:
        try:
            connections["default"].ensure_connection()
            start.wait(timeout=30)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


def patched(caller: Caller, path: str, changes: list[dict[str, object]]) -> list[object]:
    """The statuses of these changes of one thing at once."""
    return all_at_once([lambda body=body: caller.patch(path, body).status_code for body in changes])


@pytest.mark.parametrize(
    ("kind", "beside"),
    [
        ("keys", [{"is_budget_clamped": True}, {"allowed_models": ["openai/*"]}, {"budget_usd": "14"}]),
        ("projects", [{"name": "Renamed"}, {"mode": "credits"}, {"budget_usd": "14"}]),
        ("limits", []),
    ],
)
def test_each_change_keeps_what_the_others_said(caller, kind, beside):
    somebody = caller.somebody
    path = {
        "keys": f"/keys/{somebody.key_row.pk}",
        "projects": f"/projects/{somebody.project.pk}",
        "limits": "/limits",
    }[kind]
    changes = [*({name: rate} for name, rate in RATES.items()), *beside]

    statuses = patched(caller, path, changes)

    told = caller.get(path).json()
    assert statuses == [200] * len(changes)
    assert {name: told[name] for change in changes for name in change} == {
        name: value for change in changes for name, value in change.items()
    }


def test_each_change_of_a_budget_keeps_what_the_others_said(caller):
    monthly = {"scope": "organization", "amount_usd": "50", "window": "month"}
    path = f"/budgets/{caller.post('/budgets', monthly).json()['id']}"
    changes = [{"amount_usd": "7"}, {"name": "All"}, {"is_observed": True}, {"alert_percents": [9]}]

    statuses = patched(caller, path, changes)

    told = caller.get(path).json()
    assert statuses == [200] * 4
    assert [told[name] for change in changes for name in change] == ["7", "All", True, [9]]


def test_a_budget_that_is_lifted_while_it_changes_is_lifted_or_another(caller):
    daily = {"scope": "organization", "amount_usd": "50", "window": "day"}
    for _ in range(ROUNDS):
        path = f"/budgets/{caller.post('/budgets', daily).json()['id']}"

        change = [lambda path=path: caller.patch(path, {"window": "week"}).status_code]
        lifting = [lambda path=path: caller.delete(path).status_code]
        outcome = all_at_once([*change, *lifting])

        left = caller.get("/budgets").json()["data"]
        assert (outcome, len(left)) in (([200, 404], 1), ([404, 204], 0))
        for budget in left:
            caller.delete(f"/budgets/{budget['id']}")


@pytest.mark.parametrize("is_by_scope", [True, False])
def test_a_first_budget_set_many_times_at_once_is_one(settler, is_by_scope):
    organization = settler.organization

    def set_once() -> None:
        if is_by_scope:
            set_budget(
                organization=organization,
                scope="organization",
                scope_id=organization.pk,
                amount_usd=Decimal(3),
                window="month",
            )
        else:
            set_organization_budget(
                organization=organization, budget_usd=Decimal(3), budget_window="month", time_zone="UTC"
            )

    all_at_once([set_once] * 6)

    assert Budget.objects.filter(organization=organization).count() == 1


def test_a_budget_that_is_gone_is_not_made_again_by_a_change(alice):
    terms = BudgetTerms(scope="organization", amount_usd=Decimal(5), window="month")
    budget = create_budget(organization=alice.organization, terms=terms)
    stale = Budget.objects.get()
    budget.delete()

    with pytest.raises(InvalidBudget, match="removed or replaced meanwhile"):
        update_budget(budget=stale, terms=terms_of(stale))

    assert not Budget.objects.exists()
