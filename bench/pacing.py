"""Pacing: many calls at given times for the price of few timers.

A hundred thousand chunks a second leave the upstream, each at its own time. A timer for each costs as much as
sending it, so those of one millisecond share one.
"""

import asyncio
import math
from collections.abc import Callable

TICK_SECONDS = 0.001


class Pacer:
    """Calls back at a time of the running loop, at most one tick late while the loop is not busy."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, list[Callable[[], None]]] = {}

    def call_at(self, due: float, callback: Callable[[], None]) -> None:
        """Never before `due`; there is no way to call it off."""
        tick = math.ceil(due / TICK_SECONDS)
        waiting = self._waiting.get(tick)
        if waiting is None:
            waiting = self._waiting[tick] = []
            self._loop.call_at(tick * TICK_SECONDS, self._run, tick)
        waiting.append(callback)

    def _run(self, tick: int) -> None:
        for callback in self._waiting.pop(tick):
            callback()
