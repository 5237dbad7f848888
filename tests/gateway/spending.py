"""Usage events written straight into the tables, for pages that show them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import ApiKey
from billing.models import UsageEvent


def spend(
    key: ApiKey, charge_usd: str, *, cost_usd: str | None = None, at: datetime | None = None, **fields: Any
) -> UsageEvent:
    """One request of the key, as the worker would have stored it."""
    return UsageEvent.objects.create(
        organization_id=key.organization_id,
        project_id=key.project_id,
        key_id=key.pk,
        occurred_at=at or timezone.now(),
        charge_usd=Decimal(charge_usd),
        cost_usd=Decimal(cost_usd or charge_usd),
        **{"status": 200, "ending": UsageEvent.Ending.COMPLETED, **fields},
    )
