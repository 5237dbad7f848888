"""The epoch of an organization: how the data plane learns within a second that a row has changed.

A write bumps the counter in its own transaction; after the commit the number is published on
Redis. What a crash left unpublished, `accounts.tasks` publishes a few seconds later.
"""

import logging
from functools import partial
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from accounts.models import OrganizationEpoch

CHANNEL = "fb:epochs"
REDIS_TIMEOUT_SECONDS = 1.0
MAX_PUBLISHED_AT_ONCE = 1000

logger = logging.getLogger(__name__)


def bump_epoch(organization_id: UUID) -> None:
    """Say that something the data plane must see has changed; call it in the writing transaction."""
    OrganizationEpoch.objects.filter(pk=organization_id).update(epoch=F("epoch") + 1)
    transaction.on_commit(partial(publish_epochs, [organization_id]))


def publish_unpublished_epochs() -> int:
    """Publish what no process has published since it was bumped; how many that were."""
    waiting = OrganizationEpoch.objects.filter(epoch__gt=F("published_epoch"))
    return publish_epochs(list(waiting.values_list("pk", flat=True)[:MAX_PUBLISHED_AT_ONCE]))


def publish_epochs(organization_ids: list[UUID]) -> int:
    """Publish the organizations' epochs; how many were. Without Redis none: the next sweep retries."""
    rows = OrganizationEpoch.objects.filter(pk__in=organization_ids).values_list("pk", "epoch")
    published = _publish(dict(rows))
    for organization_id, epoch in published.items():
        OrganizationEpoch.objects.filter(pk=organization_id).update(
            published_epoch=Greatest(F("published_epoch"), epoch)
        )
    return len(published)


def _publish(epochs: dict[UUID, int]) -> dict[UUID, int]:
    if not epochs:
        return {}
    try:
        with _client() as client:
            pipe = client.pipeline(transaction=False)
            for organization_id, epoch in epochs.items():
                pipe.publish(CHANNEL, f"{organization_id.hex}:{epoch}")
            pipe.execute()
    except redis.RedisError:
        logger.warning("epochs not published", extra={"organizations": len(epochs)})
        return {}
    return epochs


def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.FAREBOX_REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
