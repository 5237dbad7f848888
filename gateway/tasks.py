"""What the worker does for the gateway: telling of budgets, fetching bills. Safe to run twice."""

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from billing.single_flight import only_run
from gateway import reuse_services
from gateway.alert_delivery import deliver_due
from gateway.bill_services import fetch_source
from gateway.budget_alerts import raise_alerts
from gateway.models import BillSource

ALERTS_LOCK_ID = 4_214_006


@shared_task
def tell_of_budgets() -> int:
    """Raise the alerts that are due and tell them, unless another run does; gives how many were told."""
    with only_run(ALERTS_LOCK_ID) as is_only:
        if not is_only:
            return 0
        raise_alerts(now=timezone.now())
        return deliver_due(now=timezone.now())


@shared_task
def forget_old_questions() -> int:
    """Forget embeddings whose time is over; gives how many."""
    return reuse_services.forget_old_questions()


@shared_task
def fetch_bills() -> int:
    """Ask every source of a provider's bill whose turn it is; gives how many told it."""
    now = datetime.now(UTC)
    due_before = now - timedelta(hours=settings.FAREBOX_CONSOLE.bill_fetch_hours)
    due = BillSource.objects.filter(is_active=True).filter(Q(fetched_at=None) | Q(fetched_at__lte=due_before))
    return sum(fetch_source(source, now=now) for source in due)
