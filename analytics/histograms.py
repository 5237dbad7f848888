"""Latencies as counts in fixed logarithmic buckets, so that any sum of them has true percentiles.

Pure. PostgreSQL sorts a time into its bucket with `width_bucket(time, BOUNDS_MS)`; nothing else
computes a bucket, so that two places can never disagree about an edge.
"""

from collections.abc import Mapping

BUCKETS_PER_DOUBLING = 4
DOUBLINGS = 21
# From 1 ms to 35 min; each bound is 19 % above the one before.
BOUNDS_MS: tuple[float, ...] = tuple(
    2.0 ** (step / BUCKETS_PER_DOUBLING) for step in range(BUCKETS_PER_DOUBLING * DOUBLINGS + 1)
)


def quantile_ms(requests_by_bucket: Mapping[int, int], share: float) -> float | None:
    """The time that `share` of the requests did not exceed; None of no requests.

    Bucket 0 holds what was faster than the first bound, the last one what was slower than the
    last. Within a bucket the requests are taken as evenly spread on the logarithmic scale.
    """
    total = sum(requests_by_bucket.values())
    if total == 0:
        return None
    wanted = share * total
    seen = 0
    for bucket, requests in sorted(requests_by_bucket.items()):
        if requests and seen + requests >= wanted:
            return _within(bucket, (wanted - seen) / requests)
        seen += requests
    return BOUNDS_MS[-1]


def _within(bucket: int, position: float) -> float:
    if bucket == 0:
        return BOUNDS_MS[0] * position
    low = BOUNDS_MS[bucket - 1]
    high = BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
    return low * float((high / low) ** position)
