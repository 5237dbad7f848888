"""Revocation: running streams of a key that is no longer good are cut, if the owner asked for it.

New requests are refused by `gateway.caller` as soon as the policy is dropped; this looks after
the ones that were admitted before. Clients that read nothing for too long are cut here as well.
"""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

from gateway.errors import GatewayError, InvalidApiKey, RequestTimeout, TemporarilyUnavailable
from gateway.policy_store import PolicyStore
from gateway.running import Running, RunningRequests
from gateway.settings import GatewaySettings

SWEEP_SECONDS = 1.0


class Revocation:
    """Cuts what must not go on."""

    def __init__(self, policies: PolicyStore, running: RunningRequests, *, settings: GatewaySettings) -> None:
        self._policies = policies
        self._running = running
        self._stall_seconds = settings.write_stall_timeout_seconds
        self._changed: set[UUID] = set()
        self._has_changed = asyncio.Event()
        policies.observe(self._notice)

    def _notice(self, organization_id: UUID) -> None:
        self._changed.add(organization_id)
        self._has_changed.set()

    async def run(self) -> None:
        """Look at changed organizations at once and at stalled clients every second, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_changes())
            group.create_task(self._watch_stalled())

    async def _follow_changes(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._has_changed.wait()
            self._has_changed.clear()
            # Who cannot be asked for now is noted again, and has its turn in the next round.
            for organization_id in list(self._changed):
                self._changed.discard(organization_id)
                await self._cut_revoked(organization_id)

    async def _watch_stalled(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._cut_stalled()

    def _cut_stalled(self) -> None:
        oldest = time.monotonic() - self._stall_seconds
        error = RequestTimeout("The client did not read its answer in time.")
        self._running.cut_where(lambda running: _sends_since_before(running, oldest), error)

    async def _cut_revoked(self, organization_id: UUID) -> None:
        for running in self._running.of_organization(organization_id):
            error = await self._reason_to_cut(running)
            if error is not None:
                running.cut(error)

    async def _reason_to_cut(self, running: Running) -> GatewayError | None:
        before = running.trace.policy
        assert before is not None, "an admitted request has a policy"
        try:
            policy = await self._policies.find(before.secret_hmac)
        except TemporarilyUnavailable:
            self._changed.add(before.organization_id)
            return None
        if policy is None:
            return InvalidApiKey.unknown()
        if policy.revoked_at is not None and policy.is_stream_cut_on_revocation:
            return InvalidApiKey.revoked()
        return None


def _sends_since_before(running: Running, moment: float) -> bool:
    return running.sending_since is not None and running.sending_since < moment
