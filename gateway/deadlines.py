"""Deadlines: time limits of requests, cheap enough for several in each.

One timer of the process looks at all of them, so a limit may be passed by `TICK_SECONDS`. What
needs to be sharper than that, such as a call to Redis, has a timer of its own.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

TICK_SECONDS = 0.1


class Deadlines:
    """The limits that run in this loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: dict[Deadline | Reminder, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> "Deadline":
        """For `with`: raises TimeoutError if the block takes longer, by cancelling what it awaits."""
        return self.at(self._loop.time() + seconds)

    def at(self, moment: float) -> "Deadline":
        """The same for a moment of the loop's clock."""
        return Deadline(self, moment)

    def remind(self, seconds: float, action: Callable[[], None]) -> "Reminder":
        """Call `action` after this time, once; until then it can be called off."""
        reminder = Reminder(self, self._loop.time() + seconds, action)
        self.add(reminder)
        return reminder

    def add(self, deadline: "Deadline | Reminder") -> None:
        self._running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_SECONDS, self._look)

    def remove(self, deadline: "Deadline | Reminder") -> None:
        self._running.pop(deadline, None)

    def _look(self) -> None:
        now = self._loop.time()
        for deadline in [each for each in self._running if each.moment <= now]:
            deadline.expire()
        self._timer = self._loop.call_later(TICK_SECONDS, self._look) if self._running else None


class Reminder:
    """Something to do later, if it is still to be done then."""

    __slots__ = ("_action", "_deadlines", "moment")

    def __init__(self, deadlines: Deadlines, moment: float, action: Callable[[], None]) -> None:
        self.moment = moment
        self._deadlines = deadlines
        self._action = action

    def call_off(self) -> None:
        self._deadlines.remove(self)

    def expire(self) -> None:
        self.call_off()
        self._action()


class Deadline:
    """One limit of one block, of the task that entered it."""

    __slots__ = ("_cancellations", "_deadlines", "_is_expired", "_task", "moment")

    def __init__(self, deadlines: Deadlines, moment: float) -> None:
        self.moment = moment
        self._deadlines = deadlines
        self._is_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "only a task can be cancelled"
        self._task = task
        self._cancellations = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.remove(self)
        if not self._is_expired:
            return
        is_ours = self._task.uncancel() <= self._cancellations
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel what the block awaits, once."""
        if not self._is_expired:
            self._is_expired = True
            self._task.cancel()
