"""Pressure: how far this process is behind its work, and how long streams rest because of it.

A process that serves more streams than it can read token by token falls behind: each turn of its loop takes
longer, and who has just come waits for many of them. Then each stream is read a little more rarely, so that
several of its tokens come in one read, which costs what one did. While there is time, nothing rests.
"""

import asyncio

TICK_SECONDS = 0.05
# A turn of the loop that is longer than this is felt by who waits for a first token.
LATE_SECONDS = 0.015
LONGEST_REST_SECONDS = 0.25
STEP_SECONDS = 0.01
SHORTER, LONGER = 0.95, 1.3


def next_rest(rest_seconds: float, *, late_seconds: float) -> float:
    """How long streams rest from here on: soon longer while the loop is late, slowly shorter after."""
    if late_seconds > LATE_SECONDS:
        return min(LONGEST_REST_SECONDS, rest_seconds * LONGER + STEP_SECONDS)
    rest_seconds *= SHORTER
    return rest_seconds if rest_seconds >= STEP_SECONDS else 0.0


class Pressure:
    """Measures the loop that it runs in."""

    def __init__(self) -> None:
        self.rest_seconds = 0.0

    async def run(self) -> None:
        """Measure, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.rest_seconds = next_rest(self.rest_seconds, late_seconds=loop.time() - due)
