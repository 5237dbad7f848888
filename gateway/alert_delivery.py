"""Telling alerts of budgets: by mail and by webhook, again and again until it is taken or given up.

A delivery is claimed by moving the moment at which it is due, before it is tried: two workers do not
try the same one, and one whose worker dies is tried again. A receiver may so hear of an alert twice, with
the same id. Organizations take turns, so that one whose webhook hangs holds up its own alerts alone.
"""

import logging
from collections.abc import Set
from datetime import datetime, timedelta
from smtplib import SMTPException
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Membership
from accounts.permissions import Action, Role, may
from billing.budgets import zone_named
from billing.money import format_usd
from billing.single_flight import MAX_RUN_SECONDS
from gateway.alert_models import AlertDelivery, BudgetAlert
from gateway.alert_services import secret_of, webhook_policy
from gateway.budget_rows import names_of
from gateway.budget_texts import sentence_of, whom_text
from gateway.models import AlertWebhook
from gateway.webhooks import WebhookFailed, post_webhook

MAX_DELIVERIES_PER_ORGANIZATION = 10
MAX_ORGANIZATIONS_PER_TURN = 200
MAX_PROBLEM_CHARACTERS = 256
# After the first attempt, the second, …; then it is given up.
PAUSES = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)

logger = logging.getLogger(__name__)


class NotDelivered(Exception):
    """An attempt failed; the message says why."""


def deliver_due(*, now: datetime, most_seconds: float = MAX_RUN_SECONDS) -> int:
    """Try what is due, within bounds; gives the number delivered. The clock goes on from `now`."""
    started, delivered = monotonic(), 0
    for _ in range(MAX_DELIVERIES_PER_ORGANIZATION):
        tried: set[UUID] = set()
        while len(tried) < MAX_ORGANIZATIONS_PER_TURN:
            passed_seconds = monotonic() - started
            if passed_seconds >= most_seconds:
                return delivered
            moment = now + timedelta(seconds=passed_seconds)
            delivery = _claimed(moment, besides=tried)
            if delivery is None:
                break
            tried.add(delivery.alert.organization_id)
            delivered += _deliver(delivery, moment)
        if not tried:
            break
    return delivered


def _claimed(now: datetime, *, besides: Set[UUID]) -> AlertDelivery | None:
    """The delivery that has been due for longest, of an organization that is not among these."""
    with transaction.atomic():
        free = AlertDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        due = free.filter(due_at__lte=now).exclude(alert__organization_id__in=besides)
        due = due.select_related("alert__organization", "alert__budget")
        delivery = due.order_by("due_at", "pk").first()
        if delivery is None:
            return None
        pause = PAUSES[delivery.attempts] if delivery.attempts < len(PAUSES) else None
        delivery.due_at = now + pause if pause else None
        delivery.attempts += 1
        delivery.save(update_fields=["due_at", "attempts"])
    return delivery


def _deliver(delivery: AlertDelivery, now: datetime) -> int:
    alert = delivery.alert
    try:
        if delivery.channel == AlertDelivery.Channel.MAIL:
            _mail(alert)
        else:
            _post(alert, now)
    except NotDelivered as failure:
        problem = str(failure)[:MAX_PROBLEM_CHARACTERS]
        AlertDelivery.objects.filter(pk=delivery.pk).update(problem=problem)
        if delivery.channel == AlertDelivery.Channel.WEBHOOK:
            _put_off(alert.organization_id, now)
        logger.warning("alert not delivered", extra={"channel": delivery.channel, "reason": problem})
        return 0
    AlertDelivery.objects.filter(pk=delivery.pk).update(delivered_at=now, due_at=None, problem="")
    return 1


def _put_off(organization_id: UUID, now: datetime) -> None:
    """What else is due at a webhook that has just failed waits as well, with its attempts before it."""
    others = AlertDelivery.objects.filter(
        alert__organization_id=organization_id, channel=AlertDelivery.Channel.WEBHOOK, due_at__lte=now
    )
    others.update(due_at=now + PAUSES[0])


def _mail(alert: BudgetAlert) -> None:
    recipients = recipients_of(alert)
    if not recipients:
        return
    context = _words(alert)
    subject = render_to_string("emails/budget_alert_subject.txt", context).strip()
    body = render_to_string("emails/budget_alert.txt", context)
    try:
        EmailMessage(subject, body, None, to=[], bcc=recipients).send()
    except (SMTPException, OSError) as failure:
        raise NotDelivered(f"mail: {type(failure).__name__}") from failure


def recipients_of(alert: BudgetAlert) -> list[str]:
    """Owners and billing: those who may change what the budget says and pay for it."""
    memberships = Membership.objects.filter(organization_id=alert.organization_id).select_related("person")
    return [each.person.email for each in memberships if may(Role(each.role), Action.MANAGE_BILLING)]


def _post(alert: BudgetAlert, now: datetime) -> None:
    webhook = AlertWebhook.objects.select_related("organization").filter(pk=alert.organization_id).first()
    if webhook is None:
        return
    try:
        post_webhook(
            webhook.url,
            orjson.dumps(message_of(alert)),
            secret=secret_of(webhook),
            message_id=str(alert.pk),
            timestamp=int(now.timestamp()),
            policy=webhook_policy(),
            timeout_seconds=settings.FAREBOX_CONSOLE.webhook_timeout_seconds,
        )
    except WebhookFailed as failure:
        raise NotDelivered(str(failure)) from failure


def message_of(alert: BudgetAlert) -> dict[str, Any]:
    """What a webhook brings; amounts are decimal strings of US dollars."""
    budget = alert.budget
    return {
        "type": "budget.alert",
        "timestamp": alert.created_at.isoformat(),
        "data": {
            "organization": alert.organization.slug,
            "budget_id": str(budget.pk),
            "budget_name": budget.name,
            "scope": budget.scope,
            "subject": alert.subject or budget.subject,
            "percent": alert.percent,
            "amount_usd": f"{alert.amount_usd:f}",
            "spent_usd": f"{alert.spent_usd:f}",
            "window": budget.window,
            "is_rolling": budget.is_rolling,
            "is_observed": budget.is_observed,
            "renews_at": alert.renews_at.isoformat() if alert.renews_at else None,
        },
    }


def _words(alert: BudgetAlert) -> dict[str, Any]:
    budget, organization = alert.budget, alert.organization
    renews_at = alert.renews_at.astimezone(zone_named(budget.time_zone)) if alert.renews_at else None
    return {
        "organization": organization.name,
        "percent": alert.percent,
        "name": budget.name,
        "sentence": sentence_of(budget),
        "whom": alert.subject or whom_text(budget, names=names_of(organization)),
        "spent": format_usd(alert.spent_usd),
        "amount": format_usd(alert.amount_usd),
        "renewal": f"{renews_at:%Y-%m-%d %H:%M} {budget.time_zone}" if renews_at else "",
        "is_observed": budget.is_observed,
        "link": f"{settings.FAREBOX_PUBLIC_URL}{reverse('budgets', args=[organization.slug])}",
    }
