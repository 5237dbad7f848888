"""Tasks that wait for strangers: one run at a time over all processes, and none that lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from billing.models import Payment
from billing.profiles import set_low_balance
from billing.single_flight import for_a_while, only_run
from billing.tasks import CREDIT_LOCK_ID, PAYMENTS_LOCK_ID, settle_payments, watch_credit
from tests.billing.payment_cases import ask, balance, latest
from tests.house import eventually

LOCK_ID = 4_214_999


@contextmanager
def running_elsewhere(lock_id: int) -> Iterator[None]:
    """Another process that is at this task."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [lock_id])
            yield
            cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_id])
    finally:
        other.close()


def test_a_second_run_leaves_it_to_the_first(db):
    with running_elsewhere(LOCK_ID), only_run(LOCK_ID) as is_only:
        assert is_only is False

    with only_run(LOCK_ID) as is_only:
        assert is_only is True


def test_a_run_that_fails_leaves_the_next_one_free(db):
    with pytest.raises(ValueError, match="broken"), only_run(LOCK_ID):
        raise ValueError("broken")

    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_ID])
        assert cursor.fetchone()[0] is True
    other.close()


def test_when_the_time_is_over_the_rest_is_left():
    assert list(for_a_while([1, 2, 3])) == [1, 2, 3]
    assert list(for_a_while([1, 2, 3], seconds=0)) == []


def test_credit_is_watched_by_one_run_at_a_time(alice):
    set_low_balance(organization=alice.organization, below_usd=Decimal(5))

    with running_elsewhere(CREDIT_LOCK_ID):
        watch_credit()
        assert mail.outbox == []

    eventually(lambda: watch_credit() or mail.outbox, "the low-balance mail")


def test_payments_are_settled_by_one_run_at_a_time(alice):
    alice.browser.post(ask(alice, "30").url, {"card": "good"})
    Payment.objects.filter(pk=latest(alice).pk).update(created_at=timezone.now() - timedelta(hours=1))

    with running_elsewhere(PAYMENTS_LOCK_ID):
        settle_payments()
        assert balance(alice) == 0

    eventually(lambda: settle_payments() or balance(alice) == 30, "the payment")
