"""Failures of management calls, in the envelope that the data plane answers with.

Whatever a view or a service refuses becomes one `GatewayError`, so that a client reads the same shape
from every path; below `/v0` it has Unify's `detail`. What nobody expected is logged and shows an id alone.
"""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.request import Request

from accounts.bodies import BodyTooLarge
from accounts.errors import AccountsRefusal
from accounts.permissions import Action
from accounts.request_ids import shown_request_id
from billing.errors import BillingError
from gateway.connection_rules import WrongConnection
from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidApiKey,
    InvalidJson,
    InvalidRequest,
    InvalidValue,
    IpBlocked,
    MethodNotAllowed,
    MissingParameter,
    NotFound,
    RequestTooLarge,
    RightMissing,
    TooManyCalls,
    UnsupportedMediaType,
)
from gateway.wire.dialect import DIALECTS, Dialect
from gateway.wire.failure import render_failure

DEFAULT_MOUNT = "/v1"
ABSENT_CODES = frozenset({"required", "null", "blank"})
LABELS = {Action(action).label: action.value for action in Action}

logger = logging.getLogger(__name__)


def answer_failure(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's exception handler: the answer for whatever a view has raised."""
    request: Request = context["request"]
    request_id = shown_request_id(request)
    error = _known(exc, request_id)
    failure = render_failure(
        error,
        dialect=_dialect(request.path),
        event_id=request_id,
        request_id=request_id,
        place="query" if request.method in ("GET", "DELETE") else "body",
    )
    response = HttpResponse(failure.body, status=failure.status)
    for name, value in failure.headers.items():
        response.headers[name] = value
    if error.status == InvalidApiKey.status:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _dialect(path: str) -> Dialect:
    mounts = [mount for mount in DIALECTS if path.startswith(f"{mount}/")]
    return DIALECTS[max(mounts, key=len, default=DEFAULT_MOUNT)]


def _known(exc: Exception, request_id: str) -> GatewayError:
    match exc:
        case GatewayError():
            return exc
        case WrongConnection():
            return InvalidValue(str(exc), param=exc.field)
        case BillingError() | AccountsRefusal():
            return InvalidValue(str(exc), param=exc.field or None)
        case Http404():
            return NotFound("There is no such thing here.")
        case DjangoPermissionDenied():
            return _denied(str(exc))
        case exceptions.APIException():
            return _of_framework(exc)
    logger.error("management call failed", exc_info=exc, extra={"request": request_id})
    return InternalError(event_id=request_id)


def _denied(label: str) -> RightMissing:
    right = LABELS.get(label)
    if right is None:
        return RightMissing(label or "This key may not do this.")
    return RightMissing(
        f"This key's role does not allow this: {label}. Use a key whose role has that right.",
        details={"right": right},
    )


def _of_framework(exc: exceptions.APIException) -> GatewayError:
    text = str(exc.detail)
    match exc:
        case exceptions.ValidationError():
            return _invalid(exc)
        case exceptions.AuthenticationFailed() | exceptions.NotAuthenticated():
            return InvalidApiKey(text)
        case exceptions.PermissionDenied() if exc.get_codes() == IpBlocked.code:
            return IpBlocked(text)
        case exceptions.PermissionDenied():
            return RightMissing(text)
        case exceptions.NotFound():
            return NotFound(text)
        case exceptions.ParseError():
            return InvalidJson(text)
        case BodyTooLarge():
            return RequestTooLarge(text)
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(text)
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType("Content-Type must be application/json.")
        case exceptions.Throttled():
            return TooManyCalls(text, retry_after_seconds=getattr(exc, "wait", None))
    error = InvalidRequest(text)
    error.status = exc.status_code
    return error


def _invalid(exc: exceptions.ValidationError) -> InvalidRequest:
    """The first of the faults that a serializer found; `details.faults` has all of them."""
    faults = list(_faults(exc.detail, ""))
    param, message, code = faults[0]
    kind = MissingParameter if code in ABSENT_CODES else InvalidValue
    shown = message if not param or param in message else f"{param}: {message}"
    details = {"faults": [{"param": each[0], "message": each[1]} for each in faults]}
    return kind(shown, param=param or None, details=details)


def _faults(detail: Any, path: str) -> list[tuple[str, str, str]]:
    if isinstance(detail, dict):
        items = [(_below(path, str(name)), inner) for name, inner in detail.items()]
        return [fault for place, inner in items for fault in _faults(inner, place)]
    if isinstance(detail, list):
        return [fault for inner in detail for fault in _faults(inner, path)]
    return [(path, str(detail), getattr(detail, "code", ""))]


def _below(path: str, name: str) -> str:
    if name == "non_field_errors":
        return path
    return f"{path}.{name}" if path else name
