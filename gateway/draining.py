"""Draining: what runs when the process is told to stop gets a time to finish, and is cut after it.

A server tells its application of the end only when every request has ended, so the signal is
heard here too, ahead of the server's own handler. Whether new connections are taken, and when
idle ones are closed, is the server's business.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

from gateway.errors import TemporarilyUnavailable
from gateway.running import RunningRequests

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], object]


class Drain:
    """The last phase of a process. Begins with a signal, and cuts what runs after `timeout_seconds`."""

    def __init__(self, running: RunningRequests, *, timeout_seconds: float) -> None:
        self._running = running
        self._timeout_seconds = timeout_seconds
        self.has_begun = False

    def listen(self) -> None:
        """Hear the signals that stop the server, if it has handlers for them."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            servers = signal.getsignal(number)
            if callable(servers):
                signal.signal(number, partial(self._hear, loop, servers))

    def begin(self) -> None:
        """Give what is running its time."""
        if not self.has_begun:
            self.has_begun = True
            asyncio.get_running_loop().call_later(self._timeout_seconds, self._cut)

    def _hear(
        self, loop: asyncio.AbstractEventLoop, servers: Handler, number: int, frame: FrameType | None
    ) -> None:
        loop.call_soon_threadsafe(self.begin)
        servers(number, frame)

    def _cut(self) -> None:
        self._running.cut_where(lambda _: True, TemporarilyUnavailable(reason="draining"))
