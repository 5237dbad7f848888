"""Telling the operator: a mail, and figures that the gateways show at `/metrics`.

Figures lie in one Redis hash; whoever is told must not break when mail or Redis is away.
"""

import logging
from smtplib import SMTPException

import redis
from django.conf import settings
from django.core.mail import send_mail
from redis.exceptions import RedisError

from billing.operator_figures import FIGURES_KEY

REDIS_TIMEOUT_SECONDS = 5.0

logger = logging.getLogger(__name__)


def alert_operator(*, subject: str, text: str) -> bool:
    """Mail the operator; False when no address is set or no mail server took it."""
    recipients = list(settings.FAREBOX_CONSOLE.operator_emails)
    if not recipients:
        return False
    try:
        send_mail(f"[Farebox] {subject}", text, None, recipients)
    except (SMTPException, OSError) as failure:
        logger.error("operator not alerted", extra={"subject": subject, "reason": type(failure).__name__})
        return False
    return True


def note_figures(**figures: int) -> None:
    """Set figures of the operator's metrics, each a whole number under its name."""
    try:
        with redis.Redis.from_url(
            settings.FAREBOX_REDIS_URL,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        ) as client:
            client.hset(FIGURES_KEY, mapping=dict(figures))
    except (RedisError, OSError) as failure:
        logger.warning("operator's figures not noted", extra={"reason": type(failure).__name__})
