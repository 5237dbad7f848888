"""Promotion codes: the operator makes them, an organization redeems each once at most, as does a person."""

import re
import uuid
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization, Person
from billing.errors import PromotionRefused, PromotionUsed
from billing.models import PromotionCode, Redemption
from billing.payment_models import MAX_CODE_CHARACTERS
from billing.services import checked_amount, grant_promotion

MAX_USES = 1_000_000
_CODE = re.compile(rf"[A-Z0-9][A-Z0-9_-]{{2,{MAX_CODE_CHARACTERS - 1}}}")

UNKNOWN = "This code is not known, or no longer valid. Check its spelling."
USED = "This organization has used this code already."
USED_ELSEWHERE = "You have used this code already, for another organization."


@transaction.atomic
def create_promotion_code(
    *, code: str, amount_usd: Decimal, most_uses: int, expires_at: datetime | None = None
) -> PromotionCode:
    """A code that can be redeemed at once. Raises PromotionRefused and InvalidAmount."""
    tidy = checked_code(code=code, amount_usd=amount_usd, most_uses=most_uses, expires_at=expires_at)
    try:
        with transaction.atomic():
            return PromotionCode.objects.create(
                code=tidy, amount_usd=amount_usd, most_uses=most_uses, expires_at=expires_at
            )
    except IntegrityError as exc:
        raise PromotionRefused(f"There is a code {tidy} already.") from exc


def checked_code(
    *, code: str, amount_usd: Decimal, most_uses: int, expires_at: datetime | None = None
) -> str:
    """The code as it is stored, if all of this makes one. Raises PromotionRefused and InvalidAmount."""
    tidy = _tidy(code)
    if not _CODE.fullmatch(tidy):
        raise PromotionRefused(
            f"A code has 3 to {MAX_CODE_CHARACTERS} letters, digits, hyphens and underscores,"
            f" got {code[:60]!r}."
        )
    if not 1 <= most_uses <= MAX_USES:
        raise PromotionRefused(f"A code can be used 1 to {MAX_USES:,} times, got {most_uses}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise PromotionRefused("The code would have expired already; choose a later date.")
    checked_amount(amount_usd)
    return tidy


@transaction.atomic
def redeem_promotion_code(*, organization: Organization, person: Person | None, code: str) -> Redemption:
    """Add the code's credit. Raises PromotionRefused, and PromotionUsed for a code of one's own past.

    Unknown, expired, used up and withdrawn codes read alike, so that trying tells nothing.
    """
    now = timezone.now()
    found = PromotionCode.objects.filter(code=_tidy(code), is_active=True)
    # Under the code's row lock the last use is given once, and nobody redeems it twice at a time.
    usable = found.filter(Q(expires_at=None) | Q(expires_at__gt=now)).select_for_update(no_key=True).first()
    if usable is None:
        raise PromotionRefused(UNKNOWN)
    redemptions = Redemption.objects.filter(code=usable)
    if redemptions.filter(organization=organization).exists():
        raise PromotionUsed(USED)
    if person is not None and redemptions.filter(redeemed_by=person).exists():
        raise PromotionUsed(USED_ELSEWHERE)
    if not PromotionCode.objects.filter(pk=usable.pk, uses__lt=F("most_uses")).update(uses=F("uses") + 1):
        raise PromotionRefused(UNKNOWN)
    transfer_id = grant_promotion(
        organization=organization,
        amount_usd=usable.amount_usd,
        description=f"Promotion code {usable.code}",
        id=uuid.uuid5(usable.pk, str(organization.pk)),
    )
    return Redemption.objects.create(
        transfer_id=transfer_id, code=usable, organization=organization, redeemed_by=person
    )


@transaction.atomic
def withdraw_promotion_code(*, code: PromotionCode) -> None:
    """Let nobody redeem it any more; what was redeemed stays."""
    PromotionCode.objects.filter(pk=code.pk).update(is_active=False)


def _tidy(code: str) -> str:
    return code.strip().upper()
