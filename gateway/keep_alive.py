"""Keep-alives: comments that tell a waiting client, and whatever lies in between, that its stream lives.

One look a second at all running streams of the process: a stream that is never silent for long costs a
comparison. Before the first event of a stream its head waits as well, since a failure until then has a
status; a race's client is told soon, any other after a longer silence (docs/routing.md).
"""

import asyncio
import time
from collections.abc import Callable

from gateway.running import Running, RunningRequests
from gateway.settings import GatewaySettings

LOOK_SECONDS = 1.0


class KeepAlives:
    """Looks after the silent streams of this process."""

    def __init__(
        self,
        running: RunningRequests,
        *,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = running
        self._clock = clock
        self._silence_seconds = settings.stream_keep_alive_seconds
        self._head_after_seconds = settings.stream_head_after_seconds

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._silence_seconds or LOOK_SECONDS))
            self.look()

    def look(self) -> int:
        """Send a comment to every client that has heard nothing for too long; gives their number."""
        if not self._silence_seconds:
            return 0
        now, told = self._clock(), 0
        for running in self._running.streams():
            # Whoever does not read what has been sent is not told that there is nothing.
            if running.client is None or running.sending_since is not None:
                continue
            if now - running.heard_at >= self._patience_of(running):
                running.heard_at = now
                running.client.tell_alive(running)
                told += 1
        return told

    def _patience_of(self, running: Running) -> float:
        if running.trace.has_head or running.trace.is_race:
            return self._silence_seconds
        return self._head_after_seconds or float("inf")
