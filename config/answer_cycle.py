"""The head of an answer, written in one pass: uvicorn's check of each header costs as much as all the rest.

What is not ordinary (no keep-alive, HEAD, a status without a body, a header that frames the answer or
that has no business in one) is left to uvicorn.
"""

from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.http1 import HEADER_NAME

LENGTH, CHUNKED = b"content-length: ", b"transfer-encoding: chunked"
LINE_END = b"\r\n"
FRAMING = frozenset({b"connection", b"transfer-encoding"})
BODILESS = frozenset({204, 304})
REMEMBERED_NAMES = 1_024


class AnswerCycle(RequestResponseCycle):
    """One request and its answer, as uvicorn has it."""

    async def send(self, message: Any) -> None:
        if not self.response_started and message["type"] == "http.response.start":
            head = self._ordinary_head(message["status"], message.get("headers", ()))
            if head:
                self.response_started, self.waiting_for_100_continue = True, False
                self.transport.write(head)
                return
        await super().send(message)

    def _ordinary_head(self, status: int, headers: Any) -> bytes:
        """The whole head, and how the body will be framed noted; nothing if uvicorn is to write it."""
        if self.disconnected or self.flow.write_paused or self.access_log or not self.keep_alive:
            return b""
        if status in BODILESS or self.scope["method"] == "HEAD":
            return b""
        lines, length = [], b""
        for name, value in (*self.default_headers, *headers):
            start = _start_of(name)
            if not start:
                return b""
            if start == LENGTH:
                length = value
            lines.append(start + value)
        if not length:
            lines.append(CHUNKED)
        lines += (b"", b"")
        fields = LINE_END.join(lines)
        # No value ends its line, or the head. https://www.rfc-editor.org/rfc/rfc9110#section-5.5 (checked
        # 2026-11-27)
        ends = len(lines) - 1
        if fields.count(b"\r") != ends or fields.count(b"\n") != ends or b"\0" in fields:
            return b""
        self.chunked_encoding = not length
        self.expected_content_length = int(length or b"0")
        return STATUS_LINE[status] + fields


@lru_cache(maxsize=REMEMBERED_NAMES)
def _start_of(name: bytes) -> bytes:
    """How the field of an ordinary header begins; nothing for any other."""
    lower = name.lower()
    return b"" if lower in FRAMING or not HEADER_NAME.fullmatch(name) else lower + b": "
