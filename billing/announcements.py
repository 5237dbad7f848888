"""Telling the live pages what was just recorded. Best effort: a page that misses it reads the tables."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from billing.arrivals import Arrival

MAX_EVENTS_PER_ANNOUNCEMENT = 100

logger = logging.getLogger(__name__)


def announce_events(arrivals: Sequence[Arrival]) -> None:
    """Send each organization's group the newest of its events, as small values."""
    by_organization: defaultdict[UUID, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_organization[arrival.organization].append(arrival)
    if not by_organization:
        return
    try:
        async_to_sync(_send_all)(by_organization)
    except (RedisError, OSError, ChannelFull) as exc:
        logger.warning("events not announced", extra={"reason": type(exc).__name__})


def group_of(organization_id: UUID) -> str:
    """The channel group of an organization's live pages."""
    return f"organization.{organization_id.hex}"


def digest_of(arrival: Arrival) -> dict[str, Any]:
    """What a live page needs of an event; amounts are decimal strings of US dollars."""
    usage = arrival.token_usage
    return {
        "id": str(arrival.id),
        "occurred_at": arrival.at.isoformat(),
        "project_id": str(arrival.project),
        "key_id": str(arrival.key),
        "model": arrival.model,
        "provider": arrival.provider,
        "status": arrival.status,
        "ending": arrival.ending,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "charge_usd": format(arrival.charge_usd, "f"),
        "cost_usd": format(arrival.cost_usd, "f"),
        "duration_ms": arrival.duration_ms,
        "first_token_ms": arrival.first_token_ms,
    }


async def _send_all(by_organization: dict[UUID, list[Arrival]]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    await asyncio.gather(
        *(
            layer.group_send(
                group_of(organization_id),
                {
                    "type": "usage.recorded",
                    "count": len(arrivals),
                    "events": [digest_of(arrival) for arrival in arrivals[-MAX_EVENTS_PER_ANNOUNCEMENT:]],
                },
            )
            for organization_id, arrivals in by_organization.items()
        )
    )
