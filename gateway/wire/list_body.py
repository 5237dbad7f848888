"""List bodies: several requests in one, of which the first that can be answered is (CONTRACT 1.1.1).

Who asks, and how the answer is to come, is said by the first; the others differ in what they ask.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.errors import GatewayError, InvalidJson, InvalidValue
from gateway.wire.chat_request import ChatRequest
from gateway.wire.checks import object_
from gateway.wire.shapes import JsonObject

# Of these a list has one, whichever of its requests is answered: limits, budgets and the log go by them.
SHARED = (
    "tags", "user", "session_id", "agent", "signature", "metadata", "log_query_body", "log_response_body",
    "plugins", "budget_clamp", "include_usage", "include_obfuscation",
)  # fmt: skip


def read_list(
    elements: Sequence[JsonObject], read: Callable[[JsonObject], ChatRequest], *, limit: int
) -> ChatRequest:
    """The first request, with up to `limit - 1` followers. Errors name the element: `[1].temperature`."""
    if not elements:
        raise InvalidJson("The list of requests is empty.")
    first, *others = [_element(element, index, read) for index, element in enumerate(elements[:limit])]
    for index, other in enumerate(others, 1):
        if other.is_stream is not first.is_stream:
            raise InvalidValue(
                f"[{index}].stream must be the same in all requests of a list.", param=f"[{index}].stream"
            )
    shared = {name: getattr(first, name) for name in SHARED}
    return replace(first, followers=tuple(replace(other, **shared) for other in others))


def _element(element: JsonObject, index: int, read: Callable[[JsonObject], ChatRequest]) -> ChatRequest:
    object_(element, f"[{index}]")
    try:
        return read(element)
    except GatewayError as error:
        error.param = f"[{index}].{error.param}" if error.param else f"[{index}]"
        error.message = f"[{index}]: {error.message}"
        raise
