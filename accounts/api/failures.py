"""Every error of the management API in one shape, the completion endpoint's: `error` and `detail`.

`error.param` names the field and the message what is allowed; with several wrong fields, `error.details`
lists them all.
"""

import logging
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts.errors import (
    AccountsRefusal,
    AlreadyMember,
    InvitationClosed,
    KeyRevoked,
    LastOwner,
    NameTaken,
    RoleOutOfReach,
    TooManyInvitations,
)

logger = logging.getLogger(__name__)

NOT_FOUND_MESSAGE = "There is nothing here that you may see."
TYPES = {
    401: "authentication_error",
    403: "permission_denied",
    404: "not_found",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
}
CODES = {
    400: "invalid_value",
    401: "invalid_credentials",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
    500: "internal_error",
    503: "temporarily_unavailable",
}
CODE_OF_FIELD_ERROR = {
    "required": "missing_required_parameter",
    "null": "missing_required_parameter",
    "blank": "missing_required_parameter",
    "unknown": "unsupported_parameter",
}
STATUS_OF_REFUSAL: dict[type[AccountsRefusal], int] = {
    RoleOutOfReach: 403,
    AlreadyMember: 409,
    InvitationClosed: 409,
    KeyRevoked: 409,
    LastOwner: 409,
    NameTaken: 409,
    TooManyInvitations: 429,
}


class Refused(Exception):
    """A call that is refused for a reason of ours; `param` names the field, where it is one."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code or CODES[status]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request."""

    message: str
    code: str
    param: str | None = None


def answer_of(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: the answer for whatever a view raised."""
    set_rollback()
    headers = {}
    if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    wait_seconds = getattr(exc, "wait", None)
    if isinstance(exc, exceptions.Throttled) and wait_seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait_seconds)))
    status, faults = _found(exc)
    return Response(envelope(status, faults), status=status, headers=headers)


def envelope(status: int, faults: list[Fault]) -> dict[str, Any]:
    """The body; the first fault is told in full, all of them are listed if there are several."""
    first = faults[0]
    error: dict[str, Any] = {
        "message": first.message,
        "type": TYPES.get(status, "invalid_request_error"),
        "param": first.param,
        "code": first.code,
    }
    if len(faults) > 1:
        listed = [{"param": each.param, "message": each.message, "code": each.code} for each in faults]
        error["details"] = {"faults": listed}
    return {"error": error, "detail": first.message}


def _found(exc: Exception) -> tuple[int, list[Fault]]:
    if isinstance(exc, Refused):
        return exc.status, [Fault(str(exc), exc.code, exc.param)]
    if isinstance(exc, AccountsRefusal):
        status = STATUS_OF_REFUSAL.get(type(exc), 400)
        return status, [Fault(str(exc), CODES[status], exc.field or None)]
    if isinstance(exc, Http404):
        return 404, [Fault(NOT_FOUND_MESSAGE, "not_found")]
    if isinstance(exc, DjangoPermissionDenied):
        return 403, [Fault(f"Your role does not allow this: {exc}.", "permission_denied")]
    if isinstance(exc, exceptions.ValidationError):
        return 400, list(_faults(exc.get_full_details(), "")) or [
            Fault("The request is invalid.", CODES[400])
        ]
    if isinstance(exc, exceptions.ParseError):
        return 400, [Fault(str(exc.detail), "invalid_json")]
    if isinstance(exc, exceptions.APIException):
        status = exc.status_code
        return status, [Fault(str(exc.detail), CODES.get(status, "invalid_request"))]
    event_id = uuid.uuid4().hex
    logger.error("management call failed", exc_info=exc, extra={"event_id": event_id})
    return 500, [Fault(f"Something went wrong here; it is recorded as {event_id}.", CODES[500])]


def _faults(details: Any, path: str) -> Iterator[Fault]:
    """The leaves of a serializer's errors, each under the path of its field."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        message, code = str(details["message"]), str(details["code"])
        words = message if not path or message.startswith(path) else f"{path}: {message}"
        yield Fault(words, CODE_OF_FIELD_ERROR.get(code, "invalid_value"), path or None)
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _faults(inner, path if name == "non_field_errors" else _below(path, str(name)))
    else:
        for inner in details:
            yield from _faults(inner, path)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
