"""Recorded provider streams, and the two ways to read a stream in tests: the SDK's and a plain one."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from billing.pricing import Cost
from gateway.meter import Meter
from gateway.providers.openai import OpenAIProvider
from gateway.sse import EventParser
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import Attempt, Done, Served
from gateway.wire.stream import StreamRewriter

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.sse"))

SERVED = Served(
    completion_id="chatcmpl-ours",
    request_id="request-1",
    requested_model="gpt-4o",
    requested_provider=None,
    provider="openai",
    model="gpt-4o",
    upstream_name="gpt-4o-2024-08-06",
    dropped_params=("effort",),
    tags=("a", "b"),
)
COST = Cost(input_pico=2_500_000, cached_input_pico=125_000, output_pico=10_000_000, request_pico=0)
ATTEMPT = Attempt(
    provider="openai", model="gpt-4o", status_code=200, error_type=None, succeeded=True, duration_ms=5.0
)


def recording(name: str) -> bytes:
    return (RECORDINGS / f"{name}.sse").read_bytes()


def rewrite(
    stream: bytes, *, mount: str = "/v1", include_usage: bool | None = None, cost: Cost | None = COST
) -> bytes:
    """The whole way of a stream through the gateway: parser, provider, meter, rewriter."""
    parser, provider, meter = EventParser(1_000_000), OpenAIProvider(), Meter(prompt_tokens_estimate=5)
    rewriter = StreamRewriter(
        dialect=DIALECTS[mount], served=SERVED, include_usage=include_usage, created=1_700_000_000
    )
    sent = []
    for event in [*parser.feed(stream), *parser.close()]:
        chunk = provider.read_event(event)
        if isinstance(chunk, Done):
            break
        if chunk is not None:
            meter.observe(chunk)
            sent.append(rewriter.feed(chunk))
    sent.append(rewriter.finish(reading=meter.reading(), cost=cost, routing=[ATTEMPT], latency_ms=12))
    return b"".join(sent)


def documents(stream: bytes) -> list[Any]:
    """The JSON of each data line; the last line must be the end mark."""
    lines = [line[len(b"data: ") :] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    assert lines.pop() == b"[DONE]"
    return [orjson.loads(line) for line in lines]


def read_by_sdk(stream: bytes) -> list[ChatCompletionChunk]:
    """What the official SDK makes of these bytes."""
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = httpx2.MockTransport(lambda _: response)
    client = OpenAI(
        api_key="x", base_url="http://provider.test/v1", http_client=httpx2.Client(transport=transport)
    )
    answer = client.chat.completions.create(model="m", messages=[], stream=True)
    return list(answer)


def accumulate(chunks: list[ChatCompletionChunk]) -> dict[str, Any]:
    """The completion that the SDK's own accumulation makes of the chunks."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    return state.current_completion_snapshot.model_dump()
