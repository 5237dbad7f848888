"""The pure path against the simulator's own bytes: parse, build, read, meter, rewrite.

The simulator shares no code with the gateway and keeps an invoice, so counts can be compared.
"""

from typing import Any

import httpx
import orjson
import pytest

from billing.usage import TokenUsage
from gateway.errors import GatewayError
from gateway.meter import Meter
from gateway.providers.openai import OpenAIProvider
from gateway.routing.target import Target
from gateway.simulator.app import Simulator
from gateway.sse import EventParser
from gateway.wire.chat import parse_chat_request
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import Done, Reading
from gateway.wire.stream import StreamRewriter
from tests.gateway.chat_bodies import body, tool
from tests.gateway.streams import SERVED, documents
from tests.gateway.test_openai_parameters import target

PROVIDER = OpenAIProvider()
TARGET: Target = target(provider="fake", model="echo", upstream_name="echo", base_url="http://fake.test/v1")


class Upstream:
    """A simulator in this process, and what it would bill."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=Simulator()))

    async def call(self, sent: bytes) -> httpx.Response:
        call = PROVIDER.build_request(parse_chat_request(sent), TARGET)
        return await self._client.post(call.url, headers=list(call.headers), content=call.body)

    async def invoice(self) -> Any:
        return (await self._client.get("http://fake.test/invoice")).json()


def relay(sent: bytes, stream: bytes, *, read_bytes: int) -> tuple[bytes, Reading]:
    """The stream through parser, provider, meter and rewriter, in reads of this size."""
    request = parse_chat_request(sent)
    parser, meter = EventParser(100_000), Meter(prompt_tokens_estimate=request.prompt_tokens_estimate)
    rewriter = StreamRewriter(
        dialect=DIALECTS["/v1"], served=SERVED, include_usage=request.include_usage, created=1
    )
    out = b""
    for start in range(0, len(stream), read_bytes):
        for event in parser.feed(stream[start : start + read_bytes]):
            chunk = PROVIDER.read_event(event)
            if isinstance(chunk, Done):
                out += rewriter.finish(reading=meter.reading(), cost=None, routing=[], latency_ms=1)
                return out, meter.reading()
            if chunk is not None:
                meter.observe(chunk)
                out += rewriter.feed(chunk)
    return out, meter.reading()


def prompt(text: str, **fields: Any) -> bytes:
    return body(model="fake/echo", messages=[{"role": "user", "content": text}], **fields)


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize("read_bytes", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("Hello", 8),
        ("[[tokens 40]]", 40),
        ("[[u2028]]", 8),
        ("[[split]]", 8),
        ("[[bytes]]", 8),
        ("[[crlf]]", 8),
        ("[[cr]]", 8),
        ("[[mixed lines]]", 8),
        ("[[comments]]", 8),
        ("[[usage twice]]", 8),
        ("[[usage each]]", 8),
        ("[[usage null]]", 8),
        ("[[usage negative]]", 8),
        ("[[usage huge]]", 8),
        ("[[no usage]]", 8),
        ("[[done twice]]", 8),
        ("[[after done]]", 8),
        ("[[other model]]", 8),
        ("[[no finish]]", 8),
        ("[[huge line 50000]]", 8),
    ],
)
async def test_whatever_the_stream_looks_like_the_tokens_are_those_of_the_invoice(
    words: str, tokens: int, read_bytes: int
) -> None:
    upstream = Upstream()
    sent = prompt(f"{words} écoute", stream=True)

    response = await upstream.call(sent)
    out, reading = relay(sent, response.content, read_bytes=read_bytes)

    (billed,) = (await upstream.invoice())["requests"]
    assert reading.usage.prompt_tokens == billed["prompt_tokens"]
    assert reading.usage.completion_tokens == billed["completion_tokens"] == tokens
    assert len(text_of(documents(out)).encode()) == 4 * tokens


@pytest.mark.parametrize("after", [0, 1, 3, 7])
async def test_what_arrived_before_a_break_is_counted_exactly(after: int) -> None:
    upstream = Upstream()
    sent = prompt(f"[[end {after}]]", stream=True)

    response = await upstream.call(sent)
    _, reading = relay(sent, response.content, read_bytes=100)

    assert reading.usage == TokenUsage(input=6, output=after)
    assert reading.is_estimated


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3},
        {"reasoning_effort": "low"},
        {"max_tokens": 5},
        {
            "tools": [tool(parameters={"type": "object", "properties": {"city": {"type": "string"}}})],
            "tool_choice": "required",
        },
        {"response_format": {"type": "json_object"}},
        {"logprobs": True, "top_logprobs": 2},
    ],
    ids=lambda fields: next(iter(fields), "plain"),
)
async def test_streamed_and_whole_answers_bill_the_same(fields: dict[str, Any]) -> None:
    upstream = Upstream()
    whole, streamed = (
        prompt("Hello [[cached 2]]", **fields),
        prompt("Hello [[cached 2]]", stream=True, **fields),
    )

    answer = PROVIDER.read_answer(200, (await upstream.call(whole)).content)
    _, reading = relay(streamed, (await upstream.call(streamed)).content, read_bytes=512)

    assert answer.usage is not None
    assert answer.usage.tokens == reading.usage
    assert reading.usage.cached_input == 2
    for billed in (await upstream.invoice())["requests"]:
        assert billed["completion_tokens"] == reading.usage.completion_tokens


@pytest.mark.parametrize(
    "words", ["[[error 2]]", "[[error event 2]]", "[[truncated 2]]", "[[garbage 2]]", "[[huge line 200000]]"]
)
async def test_a_stream_gone_wrong_is_an_error_of_ours(words: str) -> None:
    sent = prompt(words, stream=True)
    response = await Upstream().call(sent)

    with pytest.raises(GatewayError) as failure:
        relay(sent, response.content, read_bytes=64)

    assert failure.value.status == 502


@pytest.mark.parametrize("words", ["[[html]]", "[[empty]]", "[[error]]", "[[garbage]]"])
async def test_a_whole_answer_gone_wrong_is_an_invalid_response(words: str) -> None:
    response = await Upstream().call(prompt(words))

    with pytest.raises(GatewayError) as failure:
        PROVIDER.read_answer(response.status_code, response.content)

    assert (failure.value.status, failure.value.code) == (502, "invalid_provider_response")


@pytest.mark.parametrize(
    ("words", "status", "code", "retry_after_seconds"),
    [
        ("[[status 400]]", 400, "invalid_value", None),
        ("[[status 401]]", 502, "provider_error", None),
        ("[[status 403]]", 502, "provider_error", None),
        ("[[status 404]]", 502, "provider_error", None),
        ("[[status 413]]", 413, "request_too_large", None),
        ("[[status 422]]", 422, "invalid_value", None),
        ("[[status 429 retry-after 7]]", 429, "upstream_rate_limited", 7.0),
        ("[[status 429 retry-after 1000000000]]", 429, "upstream_rate_limited", 3600.0),
        ("[[status 500]]", 502, "provider_error", None),
        ("[[status 503]]", 502, "provider_error", None),
        ("[[status 529]]", 502, "provider_error", None),
        ("[[status 307 location http://elsewhere.test]]", 502, "provider_error", None),
        ("[[status 503]] [[empty]]", 502, "provider_error", None),
        ("[[status 400]] [[html]]", 400, "invalid_value", None),
    ],
)
async def test_refusals_become_ours(
    words: str, status: int, code: str, retry_after_seconds: float | None
) -> None:
    response = await Upstream().call(prompt(words))

    failure = PROVIDER.read_failure(response.status_code, dict(response.headers), response.content)

    assert (failure.status, failure.code, failure.retry_after_seconds) == (status, code, retry_after_seconds)


async def test_an_account_out_of_money_is_not_told_as_a_rate_limit() -> None:
    call = PROVIDER.build_request(
        parse_chat_request(prompt("Hello")), target(upstream_name="echo", credential="broke-key")
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=Simulator())) as client:
        response = await client.post(
            "http://fake.test/v1/chat/completions", headers=list(call.headers), content=call.body
        )

    failure = PROVIDER.read_failure(response.status_code, dict(response.headers), response.content)

    assert response.status_code == 429
    assert (failure.status, failure.code) == (502, "provider_error")
    assert orjson.loads(response.content)["error"]["message"] not in failure.message
