"""The transport beside httpx's own, over the same hostile answers.

Where httpx gives an answer, ours gives the same one; where it fails, ours fails with the same error. The
answers that ours refuses and httpx takes are listed: each of them can be framed in two ways.
"""

import ssl
from contextlib import AsyncExitStack

import httpx
import pytest

from gateway.egress import EgressPolicy
from gateway.transport import PooledTransport
from tests.gateway.scripted_upstream import Conversation, Script, scripted_upstream

Outcome = tuple[int, dict[str, str], bytes] | type[Exception]

UNGUARDED = EgressPolicy(is_guarded=False)
READ_SECONDS = 2.0
TLS = ssl.create_default_context()
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED_HEAD = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

REFERENCE = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
)

ANSWERS = {
    "a length": HEAD + b"Content-Length: 5\r\n\r\nhello",
    "chunks": CHUNKED_HEAD + b"5\r\nhello\r\n0\r\n\r\n",
    "capitals": HEAD + b"TRANSFER-ENCODING: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED_HEAD + b'5;a="b";c=d\r\nhello\r\n0;e\r\n\r\n',
    "a chunk size with zeros": CHUNKED_HEAD + b"0005\r\nhello\r\n00\r\n\r\n",
    "trailers": CHUNKED_HEAD + b"5\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
    "no reason phrase": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "a reason in Latin-1": b"HTTP/1.1 200 \xe9t\xe9\r\nContent-Length: 0\r\n\r\n",
    "an unknown status": b"HTTP/1.1 599 What\r\nContent-Length: 2\r\n\r\nno",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "102 and 103 first": b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\n"
    + HEAD
    + b"Content-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "repeated headers": HEAD + b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "an empty header": HEAD + b"X-Empty:\r\nContent-Length: 0\r\n\r\n",
    "spaces around a value": HEAD + b"X-A: \t b \t\r\nContent-Length: 0\r\n\r\n",
    "a value in UTF-8": HEAD + b"X-A: \xc3\xa9\r\nContent-Length: 0\r\n\r\n",
    "a gzip body as it is": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "data after the length": HEAD + b"Content-Length: 2\r\n\r\nokleftover",
    "a second answer unasked": HEAD
    + b"Content-Length: 2\r\n\r\nok"
    + HEAD
    + b"Content-Length: 4\r\n\r\nevil",
    "data after the last chunk": CHUNKED_HEAD + b"2\r\nok\r\n0\r\n\r\nleftover",
    "garbage": b"\x00\x01\x02 garbage\r\n\r\n",
    "HTML without a head": b"<html><body>200 OK</body></html>\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a header without a colon": HEAD + b"nothing here\r\n\r\n",
    "a header with a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "NUL in a header": HEAD + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a header": HEAD + b"X-A: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a signed length": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "two different lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": CHUNKED_HEAD + b"5\r\nhello\r\nxyz\r\n",
    "a negative chunk size": CHUNKED_HEAD + b"-5\r\nhello\r\n",
    "an enormous chunk size": CHUNKED_HEAD + b"fffffffffffffffffffff\r\nhello\r\n",
    "a chunk longer than its size": CHUNKED_HEAD + b"2\r\nhello\r\n0\r\n\r\n",
    "a flood of headers": HEAD + b"".join(b"X-%d: y\r\n" % i for i in range(20_000)),
    "a header without an end": HEAD + b"X-A: " + b"a" * 200_000,
}

ANSWERS_BEFORE_THE_END = {
    "nothing": b"",
    "half a status line": b"HTTP/1.",
    "half a head": HEAD + b"Content-",
    "only an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no body yet": HEAD + b"Content-Length: 5\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 5\r\n\r\nhe",
    "a body without a length": HEAD + b"\r\nhello",
    "a body without a length, of HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "a whole body and a close": HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    "half a chunk": CHUNKED_HEAD + b"5\r\nhe",
    "half a chunk size": CHUNKED_HEAD + b"5\r\nhello\r\n1",
    "no last chunk": CHUNKED_HEAD + b"5\r\nhello\r\n",
    "half a last chunk": CHUNKED_HEAD + b"5\r\nhello\r\n0\r\n",
}

# httpx takes these.
REFUSED_BY_OURS_ALONE = {
    "a bare line feed": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded header": HEAD + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a length and chunks": HEAD
    + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "the same length twice": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "201 headers": HEAD + b"A: b\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
}


async def outcome(
    transport: httpx.AsyncBaseTransport, url: str, method: str, read_seconds: float = READ_SECONDS
) -> Outcome:
    timeout = {"connect": 2.0, "read": read_seconds, "write": 2.0, "pool": 2.0}
    extensions = {"egress": UNGUARDED, "timeout": timeout}
    content = b"{}" if method == "POST" else None
    request = httpx.Request(method, url, content=content, extensions=extensions)
    try:
        response = await transport.handle_async_request(request)
    except httpx.TransportError as exc:
        return type(exc)
    try:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    except httpx.TransportError as exc:
        return type(exc)
    finally:
        await response.aclose()
    return response.status_code, dict(response.headers), body


async def outcomes(
    script: Script, method: str = "POST", read_seconds: float = READ_SECONDS
) -> tuple[Outcome, Outcome]:
    """What ours makes of it, and what httpx's does."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(scripted_upstream(script))
        ours = await stack.enter_async_context(PooledTransport(ssl_context=TLS))
        theirs = await stack.enter_async_context(httpx.AsyncHTTPTransport(verify=TLS))
        return (
            await outcome(ours, upstream.url, method, read_seconds),
            await outcome(theirs, upstream.url, method, read_seconds),
        )


def once(*pieces: bytes, ending: str = "") -> Script:
    """Answer the first request of a connection, then close it, cut it or wait for the client to leave."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(*pieces)
        if ending == "close":
            conversation.close()
        elif ending == "reset":
            conversation.reset()
        await conversation.gone()

    return script


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_are_taken_and_refused_alike(name: str) -> None:
    ours, theirs = await outcomes(once(ANSWERS[name]))

    assert ours == theirs


@pytest.mark.parametrize("name", ANSWERS_BEFORE_THE_END)
async def test_an_early_close_is_seen_alike(name: str) -> None:
    ours, theirs = await outcomes(once(ANSWERS_BEFORE_THE_END[name], ending="close"))

    assert ours == theirs


@pytest.mark.parametrize("name", sorted(set(ANSWERS_BEFORE_THE_END) - {"a whole body and a close"}))
async def test_a_reset_is_seen_alike(name: str) -> None:
    ours, theirs = await outcomes(once(ANSWERS_BEFORE_THE_END[name], ending="reset"))

    assert ours == theirs == httpx.ReadError


@pytest.mark.parametrize("name", sorted(set(ANSWERS_BEFORE_THE_END) - {"a whole body and a close"}))
async def test_silence_is_seen_alike(name: str) -> None:
    ours, theirs = await outcomes(once(ANSWERS_BEFORE_THE_END[name]), read_seconds=0.1)

    assert ours == theirs == httpx.ReadTimeout


@pytest.mark.parametrize("name", REFUSED_BY_OURS_ALONE)
async def test_answers_that_ours_alone_refuses(name: str) -> None:
    ours, theirs = await outcomes(once(REFUSED_BY_OURS_ALONE[name]))

    assert ours == httpx.RemoteProtocolError
    assert isinstance(theirs, tuple)
    assert (theirs[0], theirs[2]) == (200, b"ok")


async def test_another_protocol_is_refused_without_waiting_for_the_end_of_its_head() -> None:
    ours, theirs = await outcomes(once(b"SSH-2.0-OpenSSH_9.2\r\n"), read_seconds=0.1)

    assert (ours, theirs) == (httpx.RemoteProtocolError, httpx.ReadTimeout)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
async def test_methods_are_sent_alike(method: str) -> None:
    answer = HEAD + b"Content-Length: 5\r\n\r\n" + (b"" if method == "HEAD" else b"hello")

    ours, theirs = await outcomes(once(answer), method)

    assert ours == theirs == (200, {"content-length": "5"}, b"" if method == "HEAD" else b"hello")


async def test_an_answer_cut_at_any_byte_is_read_alike() -> None:
    expected = (200, {"x-a": "1", "transfer-encoding": "chunked"}, b"hello!")
    cuts = iter([cut for cut in range(1, len(REFERENCE)) for _ in range(2)])

    async def script(conversation: Conversation) -> None:
        while await conversation.request():
            cut = next(cuts)
            await conversation.send(REFERENCE[:cut], REFERENCE[cut:])

    async with (
        scripted_upstream(script) as upstream,
        PooledTransport(ssl_context=TLS) as ours,
        httpx.AsyncHTTPTransport(verify=TLS) as theirs,
    ):
        for _ in range(1, len(REFERENCE)):
            assert await outcome(ours, upstream.url, "GET") == expected
            assert await outcome(theirs, upstream.url, "GET") == expected


async def test_an_answer_that_trickles_byte_by_byte_is_read_alike() -> None:
    ours, theirs = await outcomes(once(*(bytes([byte]) for byte in REFERENCE)))

    assert ours == theirs == (200, {"x-a": "1", "transfer-encoding": "chunked"}, b"hello!")
