"""HTTP/1.1 as bytes: a request's head written, an answer's framing read, under limits.

Pure: bytes in, bytes and state out. The sockets, their deadlines and their pool are in gateway.transport.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httptools
import httpx

Headers = list[tuple[bytes, bytes]]

HEADER_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_VERSIONS: Final = frozenset({"1.0", "1.1"})
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
# Written here and never taken from the caller: another Host would lead a checked connection to another site,
# and a second framing header would let the body pass for a request of its own.
_OWN_HEADERS: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})
_ACCEPT_ENCODING: Final = b"accept-encoding"
_START: Final = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1")
# All that the value of a header may hold.
_VALUE_BYTES: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_LINE_END: Final = b"\r\n"
_REMEMBERED_NAMES: Final = 1_024
_NOT_ALLOWED: Final = "the request's head holds characters that are not allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """What one answer may make this process hold.

    `head_bytes` bounds what is not body: the head and, each run of them anew, chunk extensions and trailers.
    `buffered_bytes` of body wait for a slow reader; one read of the socket may exceed it.
    """

    head_bytes: int = 64 * 1024
    headers: int = 200
    buffered_bytes: int = 256 * 1024


def encode_request(request: httpx.Request, body: bytes) -> bytes:
    """Head and body as they go onto the wire. Raises httpx.LocalProtocolError if a header would split it."""
    start = start_of(request.method, request.url)
    has_length = bool(body) or request.method in _METHODS_WITH_BODY
    return encode(start, request.headers.raw, body, has_length=has_length)


def start_of(method: str, url: httpx.URL) -> bytes:
    """The first two lines of a request's head. Raises httpx.LocalProtocolError for what is no method."""
    line = b"%b %b HTTP/1.1" % (method.encode(), url.raw_path)
    if not _START.fullmatch(line):
        raise httpx.LocalProtocolError(_NOT_ALLOWED)
    return line + b"\r\nHost: " + url.netloc


def encode(
    start: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, has_length: bool = True
) -> bytes:
    """A request behind its first lines. Raises httpx.LocalProtocolError if a header would split it."""
    lines = [start]
    is_coding_named = False
    for name, value in headers:
        field, names_coding = _field_of(name)
        if field:
            lines.append(field + value)
            is_coding_named = is_coding_named or names_coding
    if not is_coding_named:
        lines.append(b"Accept-Encoding: identity")
    if has_length:
        lines.append(b"Content-Length: %d" % len(body))
    lines += (b"", b"")
    head = _LINE_END.join(lines)
    # What is left without the bytes that are allowed are the ends of our lines, unless a value has some too.
    if head.translate(None, _VALUE_BYTES) != _LINE_END * len(lines):
        raise httpx.LocalProtocolError(_NOT_ALLOWED)
    return head + body


@lru_cache(maxsize=_REMEMBERED_NAMES)
def _field_of(name: bytes) -> tuple[bytes, bool]:
    """How a header begins (nothing for one that is written here), and whether it names codings."""
    if not HEADER_NAME.fullmatch(name):
        raise httpx.LocalProtocolError(_NOT_ALLOWED)
    lower = name.lower()
    return b"" if lower in _OWN_HEADERS else name + b": ", lower == _ACCEPT_ENCODING


class AnswerParser:
    """Reads the answers that arrive on one connection, one at a time.

    Stricter than the standard asks of a client: two framing headers, codings other than `chunked`, folded
    headers and bare line feeds are malformed, because the next reader might frame them differently.
    `on_…` are the callbacks of httptools, which skips the bodies that 1xx, 204 and 304 cannot have.
    """

    def __init__(self, limits: AnswerLimits) -> None:
        self._limits = limits
        self._body_parts: list[bytes] = []
        self.on_body = self._body_parts.append
        self._parser = httptools.HttpResponseParser(self)
        self.begin(is_bodyless=False)

    def begin(self, *, is_bodyless: bool) -> None:
        """Expect the answer to the next request; `is_bodyless` says that it was a HEAD."""
        self.status = 0  # Until the head of the final answer is there.
        self.headers: Headers = []
        self.has_bytes = False
        self.is_complete = False
        self.is_reusable = False  # Another answer may follow, and none has begun unasked.
        self.failure: str | None = None
        self._is_bodyless = is_bodyless
        self._is_interim = self._ends_with_connection = False
        self._arriving: Headers = []
        self._bytes_without_body = 0

    def feed(self, data: bytes) -> bytes:
        """The bytes of body in this read. Sets `failure` if something malformed follows them."""
        self.has_bytes = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._refuse(f"not a valid answer: {exc.__context__ or exc}")
        parts = self._body_parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._bytes_without_body = 0 if body else self._bytes_without_body + len(data)
        if self._bytes_without_body > self._limits.head_bytes:
            self._refuse("the answer's head or framing is too large")
        return b"" if self._is_bodyless else body

    def end(self) -> None:
        """The connection has ended in good order, and with it the answer, if it says no other length."""
        self.is_reusable = False
        if self.status and self._ends_with_connection:
            self.is_complete = True
        else:
            self._refuse("the server closed the connection before its answer was complete")

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise httptools.HttpParserError("a second answer to one request")
        self._arriving = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._arriving.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._is_interim = 100 <= status < 200
        if self._is_interim:
            return
        if status < 100 or self._parser.get_http_version() not in _VERSIONS:
            raise httptools.HttpParserError("unknown status or version")
        self._ends_with_connection = not self._has_framing(self._arriving)
        self.is_reusable = self._parser.should_keep_alive()
        if self._is_bodyless:  # The parser waits for the body that the headers announce.
            self.is_complete, self.is_reusable = True, False
        self.status, self.headers, self._arriving = status, self._arriving, []

    def on_message_complete(self) -> None:
        self.is_complete = self.is_complete or not self._is_interim

    def _has_framing(self, headers: Headers) -> bool:
        """Whether the headers say where the body ends."""
        has_length, codings, head_bytes = False, [], 0
        for name, value in headers:
            head_bytes += len(name) + len(value)
            lower_name = name.lower()
            if lower_name == b"content-length":
                has_length = True
            elif lower_name == b"transfer-encoding":
                codings.append(value.lower())
        if len(headers) > self._limits.headers or head_bytes > self._limits.head_bytes:
            raise httptools.HttpParserError("too many headers, or too large ones")
        if codings not in ([], [b"chunked"]):
            raise httptools.HttpParserError("unknown transfer coding")
        return has_length or bool(codings)

    def _refuse(self, failure: str) -> None:
        self.is_reusable = False
        if not self.is_complete:
            self.failure = self.failure or failure
