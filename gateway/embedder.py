"""Embedder: one text to a vector, by the organization's own endpoint, as a call like any other.

It is admitted, held, metered and recorded as a usage event of its own, whatever comes of the request
that asked for it. The organization's credential pays, so it is charged nothing and its cost counts
towards budgets.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from billing.pricing import Price, worst_case_nano
from billing.usage import TokenUsage
from gateway.admission import Admission
from gateway.errors import GatewayError, InvalidProviderResponse, UpstreamTimeout
from gateway.limits import Need
from gateway.meter import BYTES_PER_TOKEN, Meter
from gateway.policy import EmbeddingEndpoint, Policy
from gateway.providers.base import UpstreamCall
from gateway.providers.registry import provider_for
from gateway.routing.target import Target
from gateway.running import RunningRequests, recovery_event
from gateway.settings import GatewaySettings
from gateway.trace import Trace, to_microsecond
from gateway.upstream import Outbound, read_body, read_failure
from gateway.wire.chat_request import ChatRequest, PromptSize
from gateway.wire.embeddings import Embedding, embedding_request, read_embedding
from gateway.wire.shapes import Attempt, Reading

ROUTE = "/embeddings"
ANSWER_LIMIT_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Embedder:
    """Embeds the questions of requests that ask for likeness."""

    admission: Admission
    running: RunningRequests
    outbound: Outbound
    settings: GatewaySettings

    async def embed(self, text: str, asking: Trace) -> Embedding:
        """The vector of a text. Raises GatewayError; the call has been recorded either way."""
        policy = asking.policy
        assert policy is not None, "who asks is known"
        endpoint = policy.reuse.embedding if policy.reuse is not None else None
        assert endpoint is not None, "there is an endpoint to ask"
        trace = _trace_of(asking, endpoint, text)
        target = trace.target
        assert target is not None, "the endpoint is the target"
        trace.need = need = _need(target.price, text)
        hold = await self.admission.admit(
            policy,
            request_id=trace.request_id,
            need=need,
            event=recovery_event(trace, None),
            targets=(target,),
        )
        trace.standing = hold.standing
        running = self.running.start(trace, hold, Meter(prompt_tokens_estimate=_estimate(text)))

        def end(status: int, ending: str, reading: Reading | None, error: GatewayError | None = None) -> None:
            self.running.settle(
                running,
                lambda: trace.event(status=status, ending=ending, reading=reading, error=error),
            )

        try:
            embedding = await self._ask(target, text, trace)
        except asyncio.CancelledError:
            end(499, "client_left", Reading(TokenUsage(input=_estimate(text)), is_estimated=True))
            if running.cut_by is None:
                raise
            raise running.reason_to_stop() from None
        except GatewayError as error:
            end(error.status, error.ending, None, error)
            raise
        is_counted = embedding.tokens is not None
        tokens = embedding.tokens if embedding.tokens is not None else _estimate(text)
        end(200, "completed", Reading(TokenUsage(input=tokens), is_estimated=not is_counted))
        return embedding

    async def _ask(self, target: Target, text: str, trace: Trace) -> Embedding:
        begun_ms = trace.now_ms
        trace.begin_attempt(target)
        error_type: str | None = "request_cancelled"
        try:
            async with asyncio.timeout(self.settings.embedding_timeout_seconds):
                embedding = await self._call(target, text, trace)
            error_type = None
            return embedding
        except TimeoutError as exc:
            error_type = UpstreamTimeout.code
            raise UpstreamTimeout("The embeddings endpoint did not answer in time.") from exc
        except GatewayError as error:
            error_type = error.code
            raise
        finally:
            took_ms = to_microsecond(trace.now_ms - begun_ms)
            attempt = Attempt(
                provider=target.provider,
                model=target.model,
                status_code=200 if error_type is None else None,
                error_type=error_type,
                succeeded=error_type is None,
                duration_ms=took_ms,
            )
            trace.end_attempt(attempt, begun_ms)

    async def _call(self, target: Target, text: str, trace: Trace) -> Embedding:
        headers = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("user-agent", "farebox"),
            ("x-farebox-request-id", trace.id_text),
        ]
        if target.credential:
            headers.append(("authorization", f"Bearer {target.credential}"))
        url = f"{target.base_url.rstrip('/')}/embeddings"
        call = UpstreamCall(url, tuple(headers), embedding_request(target.upstream_name, text))
        response = await self.outbound.send(call, target=target)
        if not 200 <= response.status < 300:
            raise await read_failure(response, provider_for(target.kind), name=target.provider)
        body = await read_body(response, limit_bytes=ANSWER_LIMIT_BYTES, provider=target.provider)
        embedding = read_embedding(body)
        if embedding.tokens is not None and embedding.tokens > _bound(text):
            raise InvalidProviderResponse("The endpoint counted more tokens than the text has bytes.")
        return embedding


def target_of(endpoint: EmbeddingEndpoint) -> Target:
    """The endpoint as what any provider is called through."""
    connection = endpoint.connection
    version = f"declared:{connection.provider}/{endpoint.model}@{endpoint.pico_per_token}/0"
    return Target(
        provider=connection.provider,
        kind=connection.kind,
        model=endpoint.model,
        upstream_name=endpoint.model,
        base_url=connection.base_url,
        credential=connection.credential,
        is_own_credential=True,
        is_guarded=connection.is_guarded,
        price=Price(version=version, input=endpoint.pico_per_token, output=0),
        connection_id=connection.id,
    )


def _trace_of(asking: Trace, endpoint: EmbeddingEndpoint, text: str) -> Trace:
    """The story of the call, with the labels of the request that it is made for."""
    asked = asking.request
    assert asked is not None, "what is asked is known"
    labels: dict[str, Any] = {"tags": asked.tags, "user": asked.user, "session_id": asked.session_id}
    request = ChatRequest(
        model=f"{endpoint.connection.provider}/{endpoint.model}",
        forwarded={"messages": []},
        prompt=PromptSize(len(text.encode()), _estimate(text), 0, 0),
        log_query_body=False,
        **labels,
    )
    return Trace(
        route=ROUTE,
        client_request_id=asking.shown_id,
        user_agent=asking.user_agent,
        source=asking.source,
        policy=asking.policy,
        request=request,
        target=target_of(endpoint),
    )


def _bound(text: str) -> int:
    """No token is less than a byte; a model may add one before and one behind the text."""
    return len(text.encode()) + 2


def _estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _need(price: Price, text: str) -> Need:
    tokens = _bound(text)
    cost_nano = worst_case_nano(price, prompt_tokens=tokens, output_tokens=0, has_audio=False)
    return Need(budget_nano=cost_nano, wallet_nano=0, tokens=tokens)


def is_configured(policy: Policy) -> bool:
    return policy.reuse is not None and policy.reuse.embedding is not None
