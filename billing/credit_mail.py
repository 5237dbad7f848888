"""Mail about credit: it runs low, a refill was declined. To the members who may pay."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Membership, Organization
from accounts.permissions import Action, Role, may
from billing.models import Payment
from billing.money import format_usd, format_usd_short

logger = logging.getLogger(__name__)


def mail_low_balance(organization: Organization, *, balance_usd: Decimal, below_usd: Decimal) -> bool:
    """Say that the credit fell below the threshold; False when no mail server took it."""
    return _send(
        organization,
        "low_balance",
        {"balance": format_usd_short(balance_usd), "threshold": format_usd(below_usd)},
    )


def mail_refill_declined(payment: Payment, *, reason: str, retry_at: datetime | None) -> bool:
    """Say that a refill was declined, and when it is tried again; None: it is switched off."""
    return _send(
        payment.organization,
        "refill_declined",
        {"amount": format_usd(payment.amount_usd), "reason": reason, "retry_at": retry_at},
    )


def payers_of(organization: Organization) -> list[str]:
    """The addresses of the members who may top up."""
    roles = [role for role in Role if may(role, Action.MANAGE_BILLING)]
    members = Membership.objects.filter(organization=organization, role__in=roles)
    return list(members.order_by("created_at").values_list("person__email", flat=True))


def _send(organization: Organization, template: str, words: Mapping[str, object]) -> bool:
    context = {
        **words,
        "organization": organization.name,
        "link": f"{settings.FAREBOX_PUBLIC_URL}{reverse('billing', args=[organization.slug])}",
    }
    subject = " ".join(render_to_string(f"emails/{template}_subject.txt", context).split())
    body = render_to_string(f"emails/{template}.txt", context)
    is_sent = True
    for address in payers_of(organization):
        try:
            send_mail(subject, body, None, [address])
        except (SMTPException, OSError) as failure:
            logger.warning(f"{template} not mailed", extra={"reason": type(failure).__name__})
            is_sent = False
    return is_sent
