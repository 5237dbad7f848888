"""Live pages: a WebSocket on which the members of an organization hear of recorded requests.

What is sent is made by `billing.announcements`; nothing is read from the database but the membership.
"""

import time
from decimal import Decimal
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.permissions import Action
from accounts.tenancy import Tenant, find_tenant
from analytics.figures import plural
from billing.announcements import group_of
from billing.money import format_usd_short

NOT_A_MEMBER = 4404


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Forwards announcements to one browser; closes with 4404 for everyone but members.

    Who was a member is asked again before a message when the last answer is half a minute old.
    """

    group: str = ""
    own_key_ids: frozenset[str] | None = None
    asked_at: float = 0.0
    membership_holds_seconds = 30.0

    async def connect(self) -> None:
        organization_id = await self._ask_who_this_is()
        if organization_id is None:
            # A browser is told the code only of a socket that was opened.
            await self.accept()
            await self.close(code=NOT_A_MEMBER)
            return
        self.group = group_of(organization_id)
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """Browsers have nothing to say here."""

    async def usage_recorded(self, message: dict[str, Any]) -> None:
        is_stale = time.monotonic() - self.asked_at > self.membership_holds_seconds
        if is_stale and await self._ask_who_this_is() is None:
            await self.close(code=NOT_A_MEMBER)
            return
        events = message["events"]
        if self.own_key_ids is not None:
            events = [event for event in events if event["key_id"] in self.own_key_ids]
        if events:
            await self.send_json({"events": [_with_summary(event) for event in events]})

    async def _ask_who_this_is(self) -> UUID | None:
        """The organization, if the person belongs to it; notes which keys they may see."""
        self.asked_at = time.monotonic()
        slug = self.scope["url_route"]["kwargs"]["slug"]
        tenant: Tenant | None = await database_sync_to_async(find_tenant)(self.scope.get("user"), slug)
        if tenant is None:
            return None
        self.own_key_ids = await database_sync_to_async(_own_key_ids)(tenant)
        return tenant.organization.pk


def _with_summary(event: dict[str, Any]) -> dict[str, Any]:
    """The event, and what it was in words: `214 tokens, $0.00031`."""
    tokens = plural(event["prompt_tokens"] + event["completion_tokens"], "token")
    return event | {"summary": f"{tokens}, {format_usd_short(Decimal(event['charge_usd']))}"}


def _own_key_ids(tenant: Tenant) -> frozenset[str] | None:
    """The keys whose requests this person may see; None for all of the organization."""
    if tenant.may(Action.VIEW_SPEND):
        return None
    return frozenset(str(key_id) for key_id in tenant.keys().values_list("pk", flat=True))
