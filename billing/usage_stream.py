"""The usage streams in Redis as a consumer group: read, set aside, acknowledge.

One stream per shard. What is done with the entries, and in which transaction, is `billing.ingest`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

GROUP = "billing"
# Readers of a shard are serialized by its cursor, so one name serves all of them.
CONSUMER = "ingest"
FIELD = b"e"
MAX_DEAD_LETTERS = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream: its id there, and the event as it was written."""

    stream_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that can never be stored, and why."""

    entry: Entry
    reason: str


def stream_key(shard: int) -> str:
    """The stream that the data plane appends the shard's events to."""
    return f"fb:{{s{shard:02d}}}:usage"


def dead_letter_key(shard: int) -> str:
    """The stream of entries that could not be stored, for a person to look at."""
    return f"{stream_key(shard)}:dead"


def waiting_shards(client: "redis.Redis", shards: int) -> list[int]:
    """The shards whose streams hold anything, in one round trip."""
    pipeline = client.pipeline(transaction=False)
    for shard in range(shards):
        pipeline.xlen(stream_key(shard))
    return [shard for shard, length in enumerate(pipeline.execute()) if length]


def read_entries(client: "redis.Redis", shard: int, *, max_entries: int) -> list[Entry]:
    """The oldest entries that nobody has acknowledged, in the order of their ids.

    Those a reader took and did not finish come first, whoever it was and however long ago: the
    caller holds the shard's cursor, so that reader is gone. When Redis has lost the group, it is
    made again from the start of the stream.
    """
    try:
        return _read(client, stream_key(shard), max_entries)
    except redis.ResponseError as exc:
        if "NOGROUP" not in str(exc):
            raise
        _create_group(client, stream_key(shard))
        return _read(client, stream_key(shard), max_entries)


def settle_entries(
    client: "redis.Redis", shard: int, entries: Sequence[Entry], dead_letters: Iterable[DeadLetter]
) -> None:
    """Set the dead letters aside, acknowledge all entries and remove them from the stream: all or nothing.

    An entry that was acknowledged and not removed would never be read again, and stay for ever.
    """
    key = stream_key(shard)
    ids = [entry.stream_id for entry in entries]
    pipeline = client.pipeline(transaction=True)
    for letter in dead_letters:
        fields = {FIELD: letter.entry.content, b"id": letter.entry.stream_id, b"reason": letter.reason}
        pipeline.xadd(dead_letter_key(shard), fields, maxlen=MAX_DEAD_LETTERS, approximate=True)  # type: ignore[arg-type]  # bytes and str both encode
    pipeline.xack(key, GROUP, *ids)
    pipeline.xdel(key, *ids)
    pipeline.execute()


def later_id(one: str, other: str) -> str:
    """The later of two stream ids."""
    return max(one, other, key=_id_parts)


def _read(client: "redis.Redis", key: str, max_entries: int) -> list[Entry]:
    entries: list[Entry] = []
    start = "0-0"
    while len(entries) < max_entries:
        left = max_entries - len(entries)
        reply: Any = client.xautoclaim(key, GROUP, CONSUMER, min_idle_time=0, start_id=start, count=left)
        entries += _entries(reply[1])
        start = reply[0].decode()
        if start == "0-0":
            break
    if len(entries) < max_entries:
        left = max_entries - len(entries)
        fresh: Any = client.xreadgroup(GROUP, CONSUMER, {key: ">"}, count=left)
        entries += [entry for _, items in _streams(fresh) for entry in _entries(items)]
    return entries


def _streams(reply: Any) -> list[tuple[Any, Any]]:
    return list(reply.items()) if isinstance(reply, dict) else list(reply or [])


def _entries(items: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Entry]:
    return [Entry(stream_id.decode(), (fields or {}).get(FIELD, b"")) for stream_id, fields in items]


def _create_group(client: "redis.Redis", key: str) -> None:
    try:
        client.xgroup_create(key, GROUP, id="0", mkstream=True)
    except redis.ResponseError as exc:
        if "BUSYGROUP" not in str(exc):
            raise


def _id_parts(stream_id: str) -> tuple[int, int]:
    milliseconds, _, number = stream_id.partition("-")
    return int(milliseconds), int(number or 0)
