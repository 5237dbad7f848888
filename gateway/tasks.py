"""What the worker does for the gateway: telling of budgets, fetching bills. Safe to run twice."""

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from gateway.alert_delivery import deliver_due
from gateway.bill_services import fetch_source
from gateway.budget_alerts import raise_alerts
from gateway.models import BillSource


@shared_task
def tell_of_budgets() -> int:
    """Raise the alerts of budgets that are due, and tell them; gives the number told."""
    now = timezone.now()
    raise_alerts(now=now)
    return deliver_due(now=now)


@shared_task
def fetch_bills() -> int:
    """Ask every source of a provider's bill whose turn it is; gives how many told it."""
    now = datetime.now(UTC)
    due_before = now - timedelta(hours=settings.FAREBOX_CONSOLE.bill_fetch_hours)
    due = BillSource.objects.filter(is_active=True).filter(Q(fetched_at=None) | Q(fetched_at__lte=due_before))
    return sum(fetch_source(source, now=now) for source in due)
