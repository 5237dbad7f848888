"""Everything the data plane may refuse or fail with: one class per cause.

A class carries status, type and code of the contract's table; its message tells the reader what
to change. How an error looks on the wire is `gateway.wire.failure`; which upstream answer
becomes which error is decided by the provider. What is refused for want of money: `gateway.money_errors`.
"""

import math
from typing import Any

from accounts import keys

# Official SDKs wait this long at most before they try again by themselves.
LONGEST_HONOURED_RETRY_SECONDS = 120.0
UNTOLD_RETRY_SECONDS = 5

RATE_UNITS = {
    "requests": "requests per minute",
    "tokens": "tokens per minute",
    "concurrency": "calls at once",
}

UNAVAILABLE_MESSAGES = {
    "limits_unavailable": "Limits cannot be checked at the moment.",
    "counters_rebuilding": "Counters are being restored after an outage.",
    "policies_unavailable": "Keys cannot be looked up at the moment.",
    "cache_unavailable": "The cache cannot be reached at the moment.",
    "draining": "This server is about to stop.",
    "hold_expired": "This server did not renew the request's hold in time, and it was settled.",
}


class GatewayError(Exception):
    """A refusal or failure that a client gets to see.

    `retryable`: the same request may succeed later. `may_fall_back`: another target may answer it.
    `ending` is how a request that was admitted ends by it.
    `details` must be JSON and must hold neither secrets nor prompts.
    """

    status: int = 500
    type: str = "api_error"
    code: str = "internal_error"
    retryable: bool = False
    may_fall_back: bool = False
    may_fall_back_when_explicit: bool = False
    should_retry: bool | None = None
    upstream_status: int | None = None
    ending: str = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = details
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's headers say about trying again."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_seconds)))
            headers["retry-after-ms"] = str(max(1, math.ceil(self.retry_after_seconds * 1000)))
        if self.should_retry is not None:
            headers["x-should-retry"] = "true" if self.should_retry else "false"
        return headers


class InvalidRequest(GatewayError):
    """The request itself must change; sending it again cannot help."""

    status, type, code = 400, "invalid_request_error", "invalid_value"


class InvalidJson(InvalidRequest):
    """The body is not one strict JSON object."""

    code = "invalid_json"


class MissingParameter(InvalidRequest):
    """A required field is absent, null or empty."""

    code = "missing_required_parameter"


class InvalidValue(InvalidRequest):
    """A field has the wrong type or is out of range."""


class InvalidModel(InvalidRequest):
    """The model string cannot be read, or uses a form that is not offered."""

    code = "invalid_model"


class UnsupportedParameter(InvalidRequest):
    """A parameter that this model or this gateway does not take."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit any of the models that could answer."""

    code = "context_length_exceeded"


class NoPrice(InvalidRequest):
    """The model has no price, so its cost could not be bounded or booked."""

    code = "model_price_unavailable"


class RequestTimeout(GatewayError):
    """The client took too long to send its request."""

    status, type, code, retryable = 408, "timeout_error", "request_timeout", True


class RequestTooLarge(InvalidRequest):
    status, code = 413, "request_too_large"


class HeadTooLarge(InvalidRequest):
    """The request line and the headers together are too large."""

    status, code = 431, "request_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The path and the headers may have at most {limit_bytes} bytes together.")


class InvalidHttp(InvalidRequest):
    """What was sent is no HTTP, or could be read in two ways."""

    code = "invalid_http"

    def __init__(self) -> None:
        super().__init__("The request is not valid HTTP/1.1.")


class UnsupportedMediaType(InvalidRequest):
    status, code = 415, "unsupported_media_type"


class InvalidApiKey(GatewayError):
    """No usable key. The constructors tell the five cases apart, as far as the caller may know."""

    status, type, code = 401, "authentication_error", "invalid_api_key"

    @classmethod
    def missing(cls) -> "InvalidApiKey":
        return cls(keys.MISSING)

    @classmethod
    def malformed(cls, problem: str) -> "InvalidApiKey":
        return cls(f"Invalid API key. {problem}")

    @classmethod
    def unknown(cls) -> "InvalidApiKey":
        return cls(keys.UNKNOWN)

    @classmethod
    def revoked(cls) -> "InvalidApiKey":
        return cls(keys.REVOKED)

    @classmethod
    def expired(cls) -> "InvalidApiKey":
        return cls(keys.EXPIRED)


class PermissionDenied(GatewayError):
    status, type, code = 403, "permission_denied", "permission_denied"


class RightMissing(PermissionDenied):
    """The key's role does not allow this management call; `details.right` names what it would take."""


class ModelBlocked(PermissionDenied):
    """The key may not use this model at any provider."""

    code = "model_blocked"


class ProviderBlocked(PermissionDenied):
    """The key may use this model, but not at this provider."""

    code = "provider_blocked"


class IpBlocked(PermissionDenied):
    """The key may be used from some networks alone, and the request comes from another one."""

    code = "ip_blocked"


class NotFound(GatewayError):
    status, type, code = 404, "not_found", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class EndpointNotFound(NotFound):
    """There is no `model@provider` of this name that the key may use."""

    def __init__(self, message: str = "Endpoint not found.", *, param: str | None = None) -> None:
        super().__init__(message, param=param)


class NoProviderInThresholds(NotFound):
    """Criteria in the model string leave no endpoint."""

    code = "no_provider_in_thresholds"

    def __init__(self, message: str = "No providers found within the specified thresholds.") -> None:
        super().__init__(message, param="model")


class CustomEndpointNotFound(NotFound):
    """`name@custom` names an endpoint that the organization does not have."""

    code = "custom_endpoint_not_found"

    def __init__(self, message: str = "Custom endpoint not found.", *, param: str | None = None) -> None:
        super().__init__(message, param=param)


class CustomKeyNotFound(NotFound):
    """The request demands the organization's own provider key, and there is none."""

    code = "custom_key_not_found"

    def __init__(self, message: str = "Custom API Key not found.", *, param: str | None = None) -> None:
        super().__init__(message, param=param)


class MethodNotAllowed(GatewayError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RateLimited(GatewayError):
    """The caller's requests, tokens or parallel calls for this window are used up.

    `retry_after_seconds` None: waiting cannot help, the request alone is larger than the limit.
    """

    status, type, code, retryable = 429, "rate_limit_error", "rate_limit_exceeded", True

    def __init__(
        self, *, scope: str, dimension: str, limit: int, left: int, retry_after_seconds: float | None
    ) -> None:
        advice = (
            "This request alone is larger; lower max_completion_tokens."
            if retry_after_seconds is None
            else f"Try again in {retry_after_seconds:g} seconds."
        )
        self.scope, self.dimension, self.limit, self.left = scope, dimension, limit, left
        super().__init__(
            f"Rate limit exceeded: the {scope} may use {limit} {RATE_UNITS.get(dimension, dimension)}, "
            f"and {left} are left. {advice}",
            details={"scope": scope, "dimension": dimension, "limit": limit, "left": left},
            retry_after_seconds=retry_after_seconds,
        )
        self.retryable = retry_after_seconds is not None
        self.should_retry = (
            retry_after_seconds is not None and retry_after_seconds <= LONGEST_HONOURED_RETRY_SECONDS
        )


class TooManyCalls(GatewayError):
    """An address or a key makes more management calls than it may; nothing of a budget is used up."""

    status, type, code, retryable = 429, "rate_limit_error", "rate_limit_exceeded", True


class DuplicateRequest(GatewayError):
    """The same was asked a moment ago, and the organization has doubles refused."""

    status, type, code, retryable = 429, "rate_limit_error", "duplicate_request", True

    def __init__(self, *, seconds: int, retry_after_seconds: float) -> None:
        super().__init__(
            "This is the same request (session, model, messages, tools and headers for the provider) as one "
            f"of the last {seconds} seconds, and this organization refuses duplicates. If it is meant, send "
            "it again later.",
            retry_after_seconds=retry_after_seconds,
        )


class InternalError(GatewayError):
    """A fault of ours. The event id lets the operator find it; nothing else is shown."""

    status, type, code, retryable = 500, "api_error", "internal_error", True

    def __init__(self, event_id: str) -> None:
        super().__init__(f"Internal server error. Event id: {event_id}")


class TemporarilyUnavailable(GatewayError):
    """Something that the gateway needs is away; `reason` is a code a program can act on."""

    status, type, code, retryable = 503, "api_error", "temporarily_unavailable", True
    should_retry = True

    def __init__(self, message: str = "", *, reason: str, retry_after_seconds: float = 1.0) -> None:
        cause = message or UNAVAILABLE_MESSAGES.get(reason, "Something that is needed is away.")
        super().__init__(
            f"Temporarily unavailable: {cause} Try again in {retry_after_seconds:g} seconds.",
            details={"reason": reason},
            retry_after_seconds=retry_after_seconds,
        )


class NoBranchLeft(TemporarilyUnavailable):
    """The prompt is longer than `max_context` of every branch of the selector (CONTRACT 1.0.5).

    Another request may fit, but sending the same one again cannot help.
    """

    should_retry = False

    def __init__(self, message: str, *, reason: str) -> None:
        details = {"code": self.code, "category": "availability", "retryable": True, "reason": reason}
        GatewayError.__init__(self, message, details=details, retry_after_seconds=1.0)


class UpstreamError(GatewayError):
    """The provider failed us. `upstream_status` is what it answered, if it answered."""

    status, type, retryable, may_fall_back = 502, "upstream_error", True, True

    def __init__(
        self, message: str, *, upstream_status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.upstream_status = upstream_status


class ProviderError(UpstreamError):
    code = "provider_error"


class InvalidProviderResponse(UpstreamError):
    """The provider answered with something that is not a completion."""

    code = "invalid_provider_response"


class AllProvidersFailed(UpstreamError):
    code, may_fall_back = "all_providers_failed", False


class UpstreamRateLimited(UpstreamError):
    """The provider's own limit is used up, and no other target is left."""

    status, type, code, should_retry = 429, "rate_limit_error", "upstream_rate_limited", True

    @property
    def headers(self) -> dict[str, str]:
        """Every 429 says when to come back; a provider that does not say has limits by the minute."""
        untold = str(UNTOLD_RETRY_SECONDS)
        return {"retry-after": untold, "retry-after-ms": f"{untold}000", **super().headers}


class UpstreamTimeout(UpstreamError):
    status, type, code = 504, "timeout_error", "timeout"


class RequestNotWritten(GatewayError):
    """What was to be sent is no HTTP, such as a credential with a line end: the provider never saw it."""

    status, type, code, may_fall_back = 502, "upstream_error", "provider_error", True


class UpstreamRefused(GatewayError):
    """The provider found fault with the client's request: its status and its words are kept."""

    type, code, may_fall_back_when_explicit = "invalid_request_error", "invalid_value", True

    def __init__(self, message: str, *, upstream_status: int, code: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = self.upstream_status = upstream_status
        self.code = code
