"""The low-balance mail: once when the credit falls below its threshold, armed again when it is not."""

from typing import Any

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.columns import usd_field
from billing.credit_mail import mail_low_balance
from billing.models import BillingProfile, LedgerAccount
from billing.money import ZERO_USD
from billing.single_flight import each_done, for_a_while

MAX_MAILS_PER_SWEEP = 200


def watch_balances() -> int:
    """Mail whoever has just fallen below their threshold; how many organizations were.

    A crash between the mark and the mail loses that mail: better than two.
    """
    watched = _with_balance()
    risen = watched.filter(low_balance_mailed_at__isnull=False, balance_usd__gte=F("low_balance_usd"))
    BillingProfile.objects.filter(pk__in=risen.values("pk")).update(low_balance_mailed_at=None)
    fallen = watched.filter(low_balance_mailed_at=None, balance_usd__lt=F("low_balance_usd"))
    return sum(each_done(_mail_once, for_a_while(fallen[:MAX_MAILS_PER_SWEEP])))


def _mail_once(profile: Any) -> bool:
    marked = BillingProfile.objects.filter(pk=profile.pk, low_balance_mailed_at=None)
    with transaction.atomic():
        if not marked.update(low_balance_mailed_at=timezone.now()):
            return False
    mail_low_balance(
        profile.organization,
        balance_usd=profile.balance_usd,
        below_usd=profile.low_balance_usd,
    )
    return True


def _with_balance() -> "QuerySet[Any]":
    balance = LedgerAccount.objects.filter(
        organization_id=OuterRef("pk"), kind=LedgerAccount.Kind.PREPAID_CREDIT
    )
    rows = BillingProfile.objects.filter(low_balance_usd__isnull=False, organization__is_active=True)
    return rows.select_related("organization").annotate(
        balance_usd=Coalesce(Subquery(balance.values("balance_usd")), ZERO_USD, output_field=usd_field())
    )
