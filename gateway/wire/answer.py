"""A whole answer, as bytes for the client: the provider's choices in the dialect's envelope."""

from collections.abc import Sequence

from billing.pricing import Cost
from gateway.wire.dialect import Dialect
from gateway.wire.encode import encode
from gateway.wire.envelope import extra_fields_object, metadata_object, with_reasoning
from gateway.wire.shapes import Attempt, ChatAnswer, JsonObject, Reading, Served
from gateway.wire.usage import usage_object


def render_answer(
    answer: ChatAnswer,
    *,
    served: Served,
    reading: Reading,
    cost: Cost | None,
    dialect: Dialect,
    routing: Sequence[Attempt],
    latency_ms: int,
) -> bytes:
    """The JSON body. `cost` None: the organization's own credential paid."""
    extras = {"system_fingerprint": None, "service_tier": None, **answer.extras}
    return encode(
        {
            "id": served.completion_id,
            "object": "chat.completion",
            "created": answer.created,
            "model": dialect.answer_model(served.provider, served.model),
            "choices": [_choice(choice, dialect) for choice in answer.choices],
            "usage": usage_object(reading, cost, dialect),
            **extras,
            "metadata": metadata_object(served, routing),
            "extra_fields": extra_fields_object(served, latency_ms=latency_ms, chunk_index=None),
        }
    )


def _choice(choice: JsonObject, dialect: Dialect) -> JsonObject:
    """The choice with everything that clients expect to be there, and nothing taken away."""
    message = {"role": "assistant", "content": None, "refusal": None, **with_reasoning(choice["message"])}
    if choice["message"].get("role") is None:
        message["role"] = "assistant"
    complete = {"index": choice["index"], "logprobs": None, **choice, "message": message}
    complete["finish_reason"] = choice.get("finish_reason") or "stop"
    if dialect.has_log_probs:
        complete["log_probs"] = complete["logprobs"]
    return complete
