"""Headers of answers: who is answered, how long it took, and how the key's limits stand.

What a refusal says about trying again is the error's (`gateway.errors`).
"""

import math
from operator import itemgetter

from gateway.errors import GatewayError, RateLimited
from gateway.exchange import HeaderPairs
from gateway.limits import Standing
from gateway.trace import Trace
from gateway.treatment import Treatment

EVENT_ID_HEADER = b"x-farebox-event-id"
CLAMPED_HEADER = b"x-farebox-budget-clamped"
REQUESTS, TOKENS = ":requests", ":tokens"
MINUTE_MS = 60_000
LIMIT_HEADERS = {
    REQUESTS: (
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ),
    TOKENS: (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
}
HIT_HEADERS = ((b"x-cache", b"HIT"), (b"x-llmgateway-cache", b"HIT"))
_left = itemgetter("left")


def identity_headers(trace: Trace) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", trace.shown_id.encode()), (EVENT_ID_HEADER, trace.id_text.encode())]
    if trace.clamped_tokens is not None:
        # Of a list of requests each has its own cap.
        asked = trace.asked
        clamped = asked.max_output_tokens if asked and asked.max_output_tokens else trace.clamped_tokens
        headers.append((CLAMPED_HEADER, b"%d" % clamped))
    return headers


def timing_headers(trace: Trace) -> HeaderPairs:
    return (
        (b"openai-processing-ms", b"%d" % round(trace.now_ms)),
        (b"x-farebox-overhead-ms", b"%.2f" % trace.overhead_ms),
    )


def limit_headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    """The tightest request and token limits that bind this key, as OpenAI and the IETF draft name them."""
    headers: list[tuple[bytes, bytes]] = []
    for dimension, (limit_name, remaining_name, reset_name) in LIMIT_HEADERS.items():
        limits = [limit for name, limit in standing.items() if name.endswith(dimension)]
        if not limits:
            continue
        tightest = min(limits, key=_left) if len(limits) > 1 else limits[0]
        limit, left = b"%d" % tightest["limit"], b"%d" % tightest["left"]
        reset_ms = tightest["reset_ms"]
        headers += (limit_name, limit), (remaining_name, left), (reset_name, _duration(reset_ms).encode())
        if dimension == REQUESTS:
            reset = b"%d" % math.ceil(reset_ms / 1000)
            headers += (b"ratelimit-limit", limit), (b"ratelimit-remaining", left)
            headers += (b"ratelimit-reset", reset), (b"ratelimit-policy", limit + b";w=60")
    return headers


def standing_of(error: GatewayError) -> Standing:
    """How the limit stands that has refused a request; nothing for any other error."""
    if not isinstance(error, RateLimited):
        return {}
    reset_ms = math.ceil((error.limit - error.left) * MINUTE_MS / error.limit)
    standing = {"limit": error.limit, "left": error.left, "reset_ms": reset_ms}
    return {f"{error.scope}:{error.dimension}": standing}


def _duration(milliseconds: int) -> str:
    """OpenAI's style: `12ms`, `1.5s`, `6m0s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    seconds = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def hit_headers(treatment: Treatment | None) -> HeaderPairs:
    """That the answer came out of the cache, under our name and LLM Gateway's, and how it was found."""
    if treatment is None or treatment.hit is None:
        return ()
    if "similarity" not in treatment.search:
        return HIT_HEADERS
    similarity = f"{treatment.search['similarity']:.4f}".encode()
    return (
        *HIT_HEADERS,
        (b"x-llmgateway-cache-match", treatment.hit_type.encode()),
        (b"x-llmgateway-cache-similarity", similarity),
    )
