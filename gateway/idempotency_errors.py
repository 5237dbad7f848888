"""What a request with an Idempotency-Key may be refused with, beside everything in `gateway.errors`."""

from gateway.errors import GatewayError, InvalidValue

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
IN_PROGRESS_RETRY_SECONDS = 1.0


class IdempotencyInProgress(GatewayError):
    """The first request with this key still runs. OpenAI's SDKs try a 409 again by themselves."""

    status, type, code, retryable = 409, "idempotency_error", "idempotency_in_progress", True
    should_retry = True

    def __init__(self, *, event_id: str) -> None:
        super().__init__(
            f"A request with this {HEADER} is still running. Its answer is given once it is complete; "
            f"try again in {IN_PROGRESS_RETRY_SECONDS:g} second.",
            param=HEADER,
            details={"event_id": event_id},
            retry_after_seconds=IN_PROGRESS_RETRY_SECONDS,
        )


class IdempotencyKeyReused(GatewayError):
    """The key belongs to another request: its path or its body differ."""

    status, type, code, should_retry = 422, "idempotency_error", "idempotency_key_reused", False

    def __init__(self, *, event_id: str) -> None:
        super().__init__(
            f"This {HEADER} was sent before with another body or path. Send the same request again, "
            "or another key.",
            param=HEADER,
            details={"event_id": event_id},
        )


class IdempotentAnswerNotKept(GatewayError):
    """The request was answered and billed, but its answer cannot be given again."""

    status, type, code, should_retry = 409, "idempotency_error", "idempotent_answer_not_kept", False

    def __init__(self, *, event_id: str) -> None:
        super().__init__(
            f"The request with this {HEADER} was answered, but its answer was not kept: it was too large. "
            f"Its event id is {event_id}. Send another key to ask again.",
            param=HEADER,
            details={"event_id": event_id},
        )


def malformed_key() -> InvalidValue:
    """The header is not one to 255 visible ASCII characters, or was sent twice."""
    return InvalidValue(
        f"{HEADER} must be sent once, with 1 to {MAX_KEY_CHARACTERS} visible ASCII characters.",
        param=HEADER,
    )
