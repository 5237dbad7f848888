"""What runs in the background for budgets: looking at alerts and telling them. Safe to run twice."""

from celery import shared_task
from django.utils import timezone

from gateway.alert_delivery import deliver_due
from gateway.budget_alerts import raise_alerts


@shared_task
def tell_of_budgets() -> int:
    """Raise the alerts of budgets that are due, and tell them; gives the number told."""
    now = timezone.now()
    raise_alerts(now=now)
    return deliver_due(now=now)
