"""What a provider's file offers: our request into theirs; their answers, events and failures into ours."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.errors import GatewayError
from gateway.routing.target import Target
from gateway.sse import Event
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import ChatAnswer, ChatChunk, Done


class UpstreamCall(Struct, frozen=True):
    """One POST. `dropped_params` names what the client asked for and the provider will not get."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    dropped_params: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"UpstreamCall({self.url})"


class Provider(Protocol):
    """Translates for one dialect. Header names are lower-case; every error is a GatewayError."""

    def build_request(
        self, request: ChatRequest, target: Target, *, extra_headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamCall:
        """Raises UnsupportedParameter when something would be dropped and the client forbade it."""
        ...

    def read_answer(self, status: int, body: bytes) -> ChatAnswer:
        """A whole 2xx answer. Raises InvalidProviderResponse for anything but a completion."""
        ...

    def read_event(self, event: Event) -> ChatChunk | Done | None:
        """One event of a 2xx stream; None if it says nothing. Raises when it is an error or garbage."""
        ...

    def read_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """What an answer of any other status means for our client."""
        ...
