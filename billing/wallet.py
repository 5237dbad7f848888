"""What of an organization's credit is free at this moment, running requests considered.

The ledger lags behind Redis by the requests that run and by those that are not ingested yet. The
names of the counters are the data plane's (`gateway.counter_names.wallet_counter`).
"""

from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import redis
from django.conf import settings

from accounts.models import Organization
from billing.errors import CreditUnknown
from billing.money import ZERO_USD, nano_to_usd
from billing.selectors import balance_usd, charged_usd

REDIS_TIMEOUT_SECONDS = 1.0


def wallet_key(organization_id: UUID, shards: int) -> str:
    """The Redis hash of an organization's wallet: `s` spent and `h` held, in nano-dollars."""
    return f"fb:{{s{organization_id.int % shards:02d}}}:money:wallet:{organization_id.hex}"


def free_credit_usd(organization: Organization) -> Decimal:
    """What neither the ledger nor a running request has taken; negative when it is overdrawn.

    Raises CreditUnknown while Redis does not answer.
    """
    try:
        with redis.Redis.from_url(
            settings.FAREBOX_REDIS_URL,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        ) as client:
            key = wallet_key(organization.pk, settings.FAREBOX_SHARDS)
            spent, held = cast(list[Any], client.hmget(key, ["s", "h"]))
    except redis.RedisError as exc:
        raise CreditUnknown("What is running cannot be read at the moment; try again in a minute.") from exc
    ahead_usd = nano_to_usd(int(spent)) - charged_usd(organization) if spent is not None else ZERO_USD
    return balance_usd(organization) - max(ahead_usd, ZERO_USD) - nano_to_usd(int(held or 0))
