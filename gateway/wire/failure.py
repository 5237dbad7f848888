"""Failures, as bytes for the client: one envelope, in the dialect's shape (CONTRACT 3.6 #9, #10, #14)."""

import re
from dataclasses import dataclass

import orjson

from gateway.errors import GatewayError, InvalidRequest, PermissionDenied
from gateway.wire.dialect import Dialect
from gateway.wire.shapes import JsonObject

PATH_STEPS = re.compile(r"[^.\[\]]+")
VALIDATION_STATUS = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure that can still be told by a status. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


def render_failure(
    error: GatewayError,
    *,
    dialect: Dialect,
    event_id: str,
    request_id: str,
    requested_model: str = "",
    provider: str = "",
    is_stream: bool = False,
    place: str = "body",
) -> Failure:
    """The answer for an error before the first byte was sent. `place`: where parameters are sent."""
    envelope: JsonObject = {
        "error": error_object(error, dialect, event_id),
        "detail": _detail(error, dialect, place),
    }
    if dialect.has_event_envelope:
        envelope |= {
            "event_id": event_id,
            "type": _type(error, dialect),
            "is_bifrost_error": False,
            "status_code": error.status,
            "extra_fields": {
                "provider": provider,
                "model_requested": requested_model,
                "request_type": "chat_completion_stream" if is_stream else "chat_completion",
                "error_type": error.code,
            },
        }
    headers = {"content-type": "application/json", "x-request-id": request_id, **error.headers}
    return Failure(error.status, headers, orjson.dumps(envelope))


def failed_chunk(error: GatewayError, *, dialect: Dialect, event_id: str, envelope: JsonObject) -> JsonObject:
    """The data of the one event that tells of an error in the middle of a stream.

    It is a valid chunk, so that clients that know no errors see an end, and it has `error`, so
    that those that do raise it.
    """
    return {
        **envelope,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
        "usage": None,
        "error": error_object(error, dialect, event_id),
    }


def error_object(error: GatewayError, dialect: Dialect, event_id: str) -> JsonObject:
    shown: JsonObject = {
        "message": error.message,
        "type": _type(error, dialect),
        "param": error.param,
        "code": error.code,
    }
    if error.details is not None:
        shown["details"] = error.details
    if dialect.has_event_envelope:
        shown["event_id"] = event_id
    return shown


def _type(error: GatewayError, dialect: Dialect) -> str:
    """Bifrost's clients tell blocked models and providers apart by the type (CONTRACT 3.6 #25)."""
    is_told_apart = dialect.has_event_envelope and isinstance(error, PermissionDenied)
    return error.code if is_told_apart else error.type


def _detail(error: GatewayError, dialect: Dialect, place: str) -> str | list[JsonObject]:
    """Where validation fails, `/v0` lists the places as FastAPI would."""
    is_validation = isinstance(error, InvalidRequest) and error.status == VALIDATION_STATUS
    if not (dialect.has_validation_list and is_validation):
        return error.message
    steps = PATH_STEPS.findall(error.param or "")
    location = [place, *(int(step) if step.isdecimal() else step for step in steps)]
    return [{"loc": location, "msg": error.message, "type": error.code}]
