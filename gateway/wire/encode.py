"""JSON on its way out, where a provider's own values are in it."""

import orjson

from gateway.errors import InvalidProviderResponse
from gateway.wire.shapes import JsonObject


def encode(value: JsonObject | list[JsonObject]) -> bytes:
    """Compact JSON. What can be read can be written again, unless it is nested beyond all reason."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as exc:
        raise InvalidProviderResponse("The provider's answer is nested too deeply to be passed on.") from exc
