"""What answers and streams share: `metadata`, `extra_fields` (CONTRACT 3.6 #7), both names of reasoning."""

from collections.abc import Sequence

from gateway.wire.shapes import Attempt, JsonObject, Served


def metadata_object(served: Served, routing: Sequence[Attempt]) -> JsonObject:
    healing = {} if served.healing is None else {"healing": served.healing}
    return {
        "requested_model": served.requested_model,
        "requested_provider": served.requested_provider,
        "used_model": served.model,
        "used_provider": served.provider,
        "underlying_used_model": served.upstream_name,
        "routing": [attempt.as_json() for attempt in routing],
        "request_id": served.request_id,
        "cached": served.is_cached,
        "tags": list(served.tags),
        **healing,
    }


def extra_fields_object(served: Served, *, latency_ms: int, chunk_index: int | None) -> JsonObject:
    """`chunk_index` None: the answer is not a stream."""
    fields: JsonObject = {
        "request_type": "chat_completion" if chunk_index is None else "chat_completion_stream",
        "provider": served.provider,
        "model_requested": served.requested_model,
        "model_deployment": served.upstream_name,
        "latency": latency_ms,
        "dropped_params": list(served.dropped_params),
    }
    if served.raw is not None:
        fields |= served.raw.as_json()
    if served.cache_debug is not None:
        fields["cache_debug"] = served.cache_debug
    return fields if chunk_index is None else fields | {"chunk_index": chunk_index}


def with_reasoning(spoken: JsonObject) -> JsonObject:
    """A message or delta whose reasoning is found under both names that clients look for."""
    reasoning = spoken.get("reasoning_content")
    return spoken | {"reasoning": reasoning} if reasoning and "reasoning" not in spoken else spoken
