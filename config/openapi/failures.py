"""Errors in the OpenAPI document: one shape for every call."""

from typing import Any

MEANINGS = {
    400: "Something in the request must change; `error.param` names it.",
    401: "No valid credential.",
    402: "Credit or a budget does not cover the request.",
    403: "The credential may not do this.",
    404: "There is no such thing, or none that the credential may see.",
    408: "The request came too slowly.",
    409: "It does not fit the present state.",
    413: "The body is too large.",
    415: "The body must be `application/json`.",
    422: "The `Idempotency-Key` was used for another body.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "Something failed here.",
    502: "The provider failed.",
    503: "Not available at the moment.",
    504: "The provider did not answer in time.",
}
FAILURE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An error: what is wrong, where, and what is allowed.",
    "required": ["error", "detail"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field or parameter that is wrong."},
                "code": {"type": ["string", "null"]},
                "details": {"type": "object", "description": "What else there is to know."},
                "event_id": {"type": "string", "description": "Below `/openai` alone."},
            },
        },
        "detail": {
            "description": "The message; below `/v0` a list of places for a 400.",
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
        },
    },
}


def refusal(status: int) -> dict[str, Any]:
    """A response that tells an error."""
    reference = {"$ref": "#/components/schemas/Failure"}
    return {"description": MEANINGS[status], "content": {"application/json": {"schema": reference}}}
