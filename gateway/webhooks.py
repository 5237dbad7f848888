"""Webhooks: one signed POST to an address that an organization chose, and what came of it.

Signed as the Standard Webhooks say, so that their libraries verify it. Guarded as every address
that a customer chose: no private networks but those the operator has opened, no redirects.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (read 2026-11-27)
"""

import asyncio
import base64
import hashlib
import hmac
import secrets

import httpx

from gateway.egress import EgressPolicy, EgressRefused
from gateway.transport import PooledTransport

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


class WebhookFailed(Exception):
    """The receiver did not take it; the message says why and holds no address."""


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature_of(body: bytes, *, secret: str, message_id: str, timestamp: int) -> str:
    """`v1,…`: an HMAC over id, moment and body, which nobody can replay as something else."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def post_webhook(
    url: str,
    body: bytes,
    *,
    secret: str,
    message_id: str,
    timestamp: int,
    policy: EgressPolicy,
    timeout_seconds: float,
) -> None:
    """Post it, and return if the receiver answered with 2xx. Raises WebhookFailed."""
    headers = {
        "content-type": "application/json",
        "user-agent": "Farebox",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature_of(body, secret=secret, message_id=message_id, timestamp=timestamp),
    }
    extensions = {"egress": policy}
    request = httpx.Request("POST", url, headers=headers, content=body, extensions=extensions)
    try:
        status = asyncio.run(_answered(request, timeout_seconds))
    except TimeoutError as exc:
        raise WebhookFailed(f"no answer within {timeout_seconds:g} seconds") from exc
    except (httpx.HTTPError, EgressRefused, OSError) as exc:
        reason = str(exc) if isinstance(exc, EgressRefused) else type(exc).__name__
        raise WebhookFailed(f"not reached: {reason}") from exc
    if not 200 <= status < 300:
        raise WebhookFailed(f"answered {status}")


async def _answered(request: httpx.Request, timeout_seconds: float) -> int:
    transport = PooledTransport()
    try:
        async with asyncio.timeout(timeout_seconds):
            response = await transport.handle_async_request(request)
            await response.aclose()
            return response.status_code
    finally:
        await transport.aclose()
