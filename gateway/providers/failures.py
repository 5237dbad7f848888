"""One table for what a provider's refusal becomes (CONTRACT 3.8): whose fault it is decides.

A client's fault keeps its status and the provider's words, cleaned; anything else is told without
them, since they may speak of our credentials or hosts.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import GatewayError, ProviderError, UpstreamRateLimited, UpstreamRefused, UpstreamTimeout

CLIENT_FAULTS = frozenset({400, 413, 422})
CONTENT_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
# Our own account at the provider is out of money or out of order, whatever status says so.
ACCOUNT_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "invalid_api_key",
        "account_deactivated",
    }
)
KEPT_CODES = CONTENT_FILTER_CODES | {
    "context_length_exceeded",
    "invalid_value",
    "missing_required_parameter",
    "unsupported_parameter",
    "unsupported_value",
    "request_too_large",
}
RETRY_AFTER_LIMIT_SECONDS = 3600.0
MESSAGE_CHARACTERS_LIMIT = 500
PARAM_CHARACTERS_LIMIT = 128

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Keys by their usual prefixes, tokens, and any long run of letters and digits.
SECRETS = re.compile(
    r"Bearer\s+\S+|\b(?:sk|pk|rk|fbx|gsk|xai|key|api|AIza|ya29|AKIA|ghp)[-_.A-Za-z0-9*]{8,}"
    r"|\beyJ[\w-]+\.[\w.-]+|\b[A-Za-z0-9]{32,}\b"
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the provider said about the failure, as far as it could be read."""

    message: str = ""
    code: str = ""
    param: str | None = None


def failure_of(status: int, headers: Mapping[str, str], complaint: Complaint) -> GatewayError:
    """The error our client gets for a provider's answer with this status."""
    if complaint.code in ACCOUNT_CODES:
        return ProviderError(
            "The provider does not accept the account that is used for it.", upstream_status=status
        )
    is_filtered = complaint.code in CONTENT_FILTER_CODES and 400 <= status < 500
    if status in CLIENT_FAULTS or is_filtered:
        return UpstreamRefused(
            f"The provider refused the request: {clean(complaint.message) or f'status {status}'}",
            upstream_status=status,
            code=complaint.code if complaint.code in KEPT_CODES else _code_of(status),
            param=clean(complaint.param)[:PARAM_CHARACTERS_LIMIT] if complaint.param else None,
        )
    if status == 429:
        return UpstreamRateLimited(
            "The provider's rate limit is used up.",
            upstream_status=status,
            retry_after_seconds=retry_after_seconds(headers),
        )
    if status == 408:
        return UpstreamTimeout("The provider gave up waiting.", upstream_status=status)
    if status in (401, 402, 403):
        return ProviderError(
            "The provider does not accept the credential used for it.", upstream_status=status
        )
    return ProviderError(f"The provider answered with status {status}.", upstream_status=status)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, capped; None if it does not say so in numbers."""
    for name, unit_seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_seconds
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, RETRY_AFTER_LIMIT_SECONDS)
    return None


def clean(message: str) -> str:
    """A provider's words, fit to be shown: one short line without anything that looks like a secret."""
    line = UNPRINTABLE.sub(" ", message[: 4 * MESSAGE_CHARACTERS_LIMIT])
    return SECRETS.sub("[redacted]", line).strip()[:MESSAGE_CHARACTERS_LIMIT]


def _code_of(status: int) -> str:
    return "request_too_large" if status == 413 else "invalid_value"
