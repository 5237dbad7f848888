"""Breakers: a target that keeps failing is left alone for a while, then tried with one request at a time.

Only what has failed lately is known here, so that a target that works costs one look into a small
dict. What a failure is decides `gateway.health`; that an open target is no reason to refuse a
request that has no other is `gateway.attempts`' business.
"""

import time
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

TargetKey = tuple[str, str, UUID | None]

REMEMBERED_TARGETS = 4_096


class BreakerRules(Struct, frozen=True, kw_only=True):
    """Opens after `failures` in a window if they are this share of all attempts; 0 failures: never."""

    failures: int = 5
    share: float = 0.5
    window_seconds: float = 60.0
    open_seconds: float = 30.0


class _Record:
    """One target since it failed for the first time. What is older than the window counts half."""

    __slots__ = ("attempts", "failures", "is_open", "is_probed", "probe_from", "window_ends")

    def __init__(self, window_ends: float) -> None:
        self.attempts = self.failures = 0.0
        self.window_ends = window_ends
        self.is_open = self.is_probed = False
        self.probe_from = 0.0


class Breakers:
    """The breakers of this process' targets."""

    def __init__(self, rules: BreakerRules, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._records: dict[TargetKey, _Record] = {}
        self._opened = 0

    @property
    def any_is_open(self) -> bool:
        return self._opened > 0

    @property
    def open_targets(self) -> list[TargetKey]:
        """Those that are open, whether a probe is due or not."""
        return [key for key, record in self._records.items() if record.is_open]

    def is_open(self, key: TargetKey) -> bool:
        """Whether others are to be tried first. It is not when a probe is due: this request may be it."""
        record = self._records.get(key)
        if record is None or not record.is_open:
            return False
        return record.is_probed or self._clock() < record.probe_from

    def begin(self, key: TargetKey) -> bool:
        """An attempt begins; gives whether it is the probe, because one is due and none is under way."""
        record = self._records.get(key)
        if record is None or not record.is_open or record.is_probed or self._clock() < record.probe_from:
            return False
        record.is_probed = True
        return True

    def succeed(self, key: TargetKey) -> None:
        """The target has answered: one that was open is closed."""
        record = self._records.get(key)
        if record is None:
            return
        self._roll(record)
        record.attempts += 1
        if record.is_open or record.failures < 1:
            self._forget(key)

    def fail(self, key: TargetKey) -> None:
        """The target has failed, which may open it, or keep it open when it was a probe."""
        if not self._rules.failures:
            return
        now = self._clock()
        record = self._records.get(key) or self._new(key, now)
        self._roll(record)
        record.attempts += 1
        record.failures += 1
        if record.is_open:
            if record.is_probed:
                record.is_probed, record.probe_from = False, now + self._rules.open_seconds
            return
        if record.failures >= self._rules.failures and record.failures >= self._rules.share * record.attempts:
            record.is_open, record.probe_from = True, now + self._rules.open_seconds
            self._opened += 1

    def abandon(self, key: TargetKey) -> None:
        """The probe has said nothing of the target: the next attempt may be it."""
        record = self._records.get(key)
        if record is not None:
            record.is_probed = False

    def _new(self, key: TargetKey, now: float) -> _Record:
        while len(self._records) >= REMEMBERED_TARGETS:
            self._forget(next(iter(self._records)))
        record = self._records[key] = _Record(now + self._rules.window_seconds)
        return record

    def _forget(self, key: TargetKey) -> None:
        self._opened -= self._records.pop(key).is_open

    def _roll(self, record: _Record) -> None:
        now, window_seconds = self._clock(), self._rules.window_seconds
        if now < record.window_ends:
            return
        is_long_ago = now >= record.window_ends + window_seconds
        kept = 0.0 if is_long_ago else 0.5
        record.attempts *= kept
        record.failures *= kept
        record.window_ends = now + window_seconds
