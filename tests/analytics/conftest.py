"""Events of alice's organization, as ingestion stores them."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import ApiKey, Organization
from billing.models import UsageEvent
from tests.people import Somebody

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

Record = Callable[..., UsageEvent]


@pytest.fixture
def organization(alice: Somebody) -> Organization:
    return alice.organization


@pytest.fixture
def key(alice: Somebody) -> ApiKey:
    return alice.key_row


@pytest.fixture
def record(alice: Somebody) -> Record:
    """Store one completed request of alice's key: 7 tokens in, 10 out, $0.000031, unless told otherwise."""

    def store(at: datetime = NOON, **changes: Any) -> UsageEvent:
        values = {
            "id": uuid.uuid4(),
            "organization_id": alice.organization.pk,
            "project_id": alice.project.pk,
            "key_id": alice.key_row.pk,
            "request_id": "req-1",
            "route": "/v0/chat/completions",
            "requested_model": "fake/echo",
            "model": "echo",
            "provider": "fake",
            "status": 200,
            "ending": UsageEvent.Ending.COMPLETED,
            "finish_reason": "stop",
            "input_tokens": 7,
            "output_tokens": 10,
            "price_version": "fake-1",
            "cost_usd": Decimal("0.000031"),
            "charge_usd": Decimal("0.000031"),
            "duration_ms": 12.0,
            "first_token_ms": 4.0,
        }
        return UsageEvent.objects.create(occurred_at=at, **(values | changes))

    return store
