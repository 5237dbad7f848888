"""Exchange: one request as it came in, and the face through which its answer goes out."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.caller import Headers
from gateway.errors import GatewayError
from gateway.http1 import HEADER_NAME
from gateway.trace import Trace
from gateway.wire.chat import ParseLimits, parse_chat_request
from gateway.wire.chat_request import ChatRequest
from gateway.wire.dialect import Dialect
from gateway.wire.labels import labelled, readable_labels
from gateway.wire.wishes import wished

HeaderPairs = Sequence[tuple[bytes, bytes]]

# Lets a provider's own log be laid beside ours.
REQUEST_ID_HEADER = "x-farebox-request-id"
FORWARDED_HEADERS = frozenset({b"anthropic-beta", b"openai-beta"})
FORWARD_PREFIX = b"x-bf-eh-"
# Never sent upstream, whatever prefix asks for it: contract, decision 20.
WITHHELD_HEADERS = frozenset(
    {
        b"authorization", b"proxy-authorization", b"cookie", b"host", b"connection", b"forwarded", b"via",
        b"transfer-encoding", b"te", b"upgrade", b"expect", b"keep-alive", b"x-api-key", b"api-key",
        b"x-goog-api-key", b"accept-encoding", b"x-real-ip",
        # They choose an account beside the credential.
        b"openai-organization", b"openai-project", b"x-goog-user-project",
    }
)  # fmt: skip
WITHHELD_PREFIXES = (b"x-bf-", b"content-", b"x-forwarded-", b"proxy-", b"x-farebox-", b"cf-")
MAX_FORWARDED_VALUE_BYTES = 4096
HOPS_HEADER = b"x-farebox-hops"
MAX_HOPS_DIGITS = 4


class Reply(Protocol):
    """What a consumer offers to send an answer with; sending waits while the client does not read."""

    has_client_left: bool

    async def send_headers(self, *, status: int, headers: HeaderPairs) -> None: ...

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None: ...


class Incoming(Struct, frozen=True):
    """A request whose body has been read whole; `special` are those of its headers that ask for something."""

    dialect: Dialect
    headers: Headers
    body: bytes
    trace: Trace
    special: Headers
    peer: str = ""
    """The address at the other end of the connection, which may be a proxy's."""

    def chat_request(self, limits: ParseLimits) -> ChatRequest:
        """What is asked for, by the body and by headers. Raises a 400 that names the field or the header."""
        if not self.special:
            return parse_chat_request(self.body, limits=limits)
        try:
            request = labelled(
                parse_chat_request(self.body, limits=limits),
                self.special,
                pairs_limit=limits.metadata_pairs,
                characters_limit=limits.metadata_characters,
            )
            return wished(request, self.special)
        except GatewayError:
            # The log shows who was refused, and in which session.
            self.trace.labels = readable_labels(self.special)
            raise

    @property
    def hops(self) -> int:
        """How many gateways of this kind the request has passed already."""
        hops = self.headers.get(HOPS_HEADER, b"0")
        return int(hops) if hops.isdigit() and len(hops) < MAX_HOPS_DIGITS else 0

    def forwarded_headers(self) -> list[tuple[str, str]]:
        """What the provider is to see beside the body: a few of the client's headers, and ours."""
        own = [(HOPS_HEADER.decode(), str(self.hops + 1)), (REQUEST_ID_HEADER, self.trace.id_text)]
        return [*told_to_provider(self.special), *own]


def told_to_provider(headers: Headers) -> Iterable[tuple[str, str]]:
    """Those of the client's headers that reach the provider, as the provider gets them."""
    for name, value in headers.items():
        wanted = name.removeprefix(FORWARD_PREFIX) if name.startswith(FORWARD_PREFIX) else name
        if wanted == name and name not in FORWARDED_HEADERS:
            continue
        if not HEADER_NAME.fullmatch(wanted):
            continue
        if wanted in WITHHELD_HEADERS or wanted.startswith(WITHHELD_PREFIXES):
            continue
        if len(value) <= MAX_FORWARDED_VALUE_BYTES and value.isascii():
            yield wanted.decode("ascii"), value.decode("ascii")
