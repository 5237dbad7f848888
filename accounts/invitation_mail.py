"""The mail that brings an invitation, and the link in it. Links lead to the configured address."""

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Invitation
from accounts.permissions import DESCRIPTION_OF_ROLE, Role

logger = logging.getLogger(__name__)


def link_of(token: str) -> str:
    return f"{settings.FAREBOX_PUBLIC_URL}{reverse('invitation', args=[token])}"


def send_invitation(invitation: Invitation, *, link: str) -> bool:
    """Mail the link to the invited address; False when no mail server took it."""
    role = Role(invitation.role)
    context = {
        "organization": invitation.organization.name,
        "inviter": invitation.invited_by.get_full_name() if invitation.invited_by else "Somebody",
        "role": role.label.lower(),
        "role_description": DESCRIPTION_OF_ROLE[role],
        "link": link,
        "email": invitation.email,
        "lifetime_days": settings.FAREBOX_CONSOLE.invitation_lifetime_days,
    }
    subject = render_to_string("emails/invitation_subject.txt", context).strip()
    body = render_to_string("emails/invitation.txt", context)
    try:
        send_mail(subject, body, None, [invitation.email])
    except (SMTPException, OSError) as failure:
        logger.warning("invitation not mailed", extra={"reason": type(failure).__name__})
        return False
    return True
