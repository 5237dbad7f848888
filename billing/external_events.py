"""Calls that were made elsewhere and are only reported to us: they stand in the log and cost nothing.

No counter, budget or ledger knows of them: their provider is `external`, cost and charge are zero.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import ApiKey, Organization
from accounts.vault import Vault
from billing.announcements import announce_events
from billing.arrivals import Arrival, ArrivedUsage
from billing.event_store import insert_events, lock_out_rollups
from billing.models import UsageEvent

EXTERNAL_PROVIDER = "external"
EXTERNAL_ROUTE = "/v0/queries"
MAX_TOKENS = 2**53


def record_external_call(
    *,
    key: ApiKey,
    endpoint: str,
    occurred_at: datetime,
    request_id: str,
    request: Any,
    response: Any = None,
    tags: Sequence[str] = (),
    signature: str = "",
) -> uuid.UUID:
    """Store one call as a completed one of this key; its text only where the switches of the log allow it."""
    event_id, organization = uuid.uuid4(), key.organization
    is_text_kept = organization.is_body_logging_on and key.project.is_body_logging_on
    arrival = Arrival(
        v=1,
        id=event_id,
        at=occurred_at,
        organization=organization.pk,
        project=key.project_id,
        key=key.pk,
        status=200,
        ending=UsageEvent.Ending.COMPLETED,
        usage=_usage(response),
        cost_nano=0,
        charge_nano=0,
        request_id=request_id,
        route=EXTERNAL_ROUTE,
        requested_model=endpoint,
        model=endpoint.rpartition("@")[0],
        provider=EXTERNAL_PROVIDER,
        tags=list(tags),
        signature=signature,
        request_body=_sealed(organization, event_id, "request", request) if is_text_kept else None,
        response_body=_sealed(organization, event_id, "response", response) if is_text_kept else None,
    )
    with transaction.atomic():
        lock_out_rollups()
        stored = insert_events([arrival])
    announce_events(stored)
    return event_id


def is_external(event: UsageEvent) -> bool:
    """Whether somebody else served it."""
    return event.route == EXTERNAL_ROUTE


def _usage(response: Any) -> ArrivedUsage:
    """What the answer says it used, as far as it can be read."""
    usage = response.get("usage") if isinstance(response, dict) else None
    told = usage if isinstance(usage, dict) else {}
    return ArrivedUsage(input=_count(told.get("prompt_tokens")), output=_count(told.get("completion_tokens")))


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0


def _sealed(organization: Organization, event_id: uuid.UUID, part: str, content: Any) -> bytes | None:
    """Encrypted as the data plane does it; None for what is not there or too large to keep."""
    if content in (None, "") or organization.encrypted_data_key is None:
        return None
    plain = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    if len(plain) > settings.FAREBOX_GATEWAY.logged_body_limit_bytes:
        return None
    vault = Vault(settings.FAREBOX_MASTER_KEY)
    data_key = vault.unwrap(bytes(organization.encrypted_data_key), organization.pk)
    return data_key.encrypt(plain, context=f"usage-body:{event_id}:{part}")
