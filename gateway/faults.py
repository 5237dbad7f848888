"""Faults: whatever was raised, as an error that a client may see."""

import logging

from gateway.errors import GatewayError, InternalError
from gateway.trace import Trace

logger = logging.getLogger(__name__)


def known_error(exc: Exception, trace: Trace) -> GatewayError:
    """The error to show: itself if it is ours, else one that names only the event."""
    if isinstance(exc, GatewayError):
        return exc
    logger.error("request failed", exc_info=exc, extra={"request": trace.request_id.hex})
    return InternalError(event_id=str(trace.request_id))
