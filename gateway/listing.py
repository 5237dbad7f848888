"""Listings: which models a key may use, which providers there are, and what credit is left.

Small answers from memory, read by any OpenAI client (`/v1/models`) and by Unify's (`/v0/models`,
`/v0/providers`, `/v0/endpoints`, `/v0/credits`). Their shapes are in `gateway.wire.models`.
"""

from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from gateway.admission import wallet_of
from gateway.consumers import HttpConsumer
from gateway.errors import GatewayError, ModelNotFound, TemporarilyUnavailable
from gateway.exchange import HeaderPairs
from gateway.identifiers import new_request_id
from gateway.limits import MoneyCounter
from gateway.plane import Plane
from gateway.policy import Policy
from gateway.redis_pipeline import RedisAway
from gateway.routing.select import is_allowed
from gateway.routing.target import Offer
from gateway.wire.dialect import DIALECTS
from gateway.wire.failure import render_failure
from gateway.wire.models import (
    ModelEntry,
    endpoint_names,
    model_list,
    model_names,
    model_object,
    provider_names,
)

NANO_PER_USD = 1e9


class ListingConsumer(HttpConsumer):
    """One `GET` of a caller who shows a key."""

    def __init__(self, plane: Plane, *, mount: str) -> None:
        super().__init__(plane)
        self._dialect = DIALECTS[mount]
        self._request_id = new_request_id()

    async def handle(self, body: bytes) -> None:
        try:
            policy = await self.plane.callers.identify(self.headers)
            content = await self.content(policy)
        except GatewayError as error:
            await self.refuse(error)
            await self.send_body(b"")
            return
        await self._send_json(200, [(b"x-request-id", self._shown_id.encode())], orjson.dumps(content))
        await self.send_body(b"")

    async def content(self, policy: Policy) -> Any:
        """What is answered, as JSON values."""
        raise NotImplementedError

    async def refuse(self, error: GatewayError) -> None:
        event_id, shown_id = str(self._request_id), self._shown_id
        failure = render_failure(error, dialect=self._dialect, event_id=event_id, request_id=shown_id)
        headers = [(name.encode(), value.encode()) for name, value in failure.headers.items()]
        await self._send_json(failure.status, headers, failure.body)

    @property
    def _shown_id(self) -> str:
        return self.client_request_id or str(self._request_id)

    @property
    def query(self) -> dict[str, str]:
        """The query string; of a repeated parameter the first."""
        values = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        return {name: value[0] for name, value in values.items()}

    def entries(self, policy: Policy) -> list[ModelEntry]:
        """Every model this key may use, with its offers."""
        offers: defaultdict[str, list[Offer]] = defaultdict(list)
        for offer in self.plane.router.catalogue(policy).offers():
            if offer.price is not None and is_allowed(offer.provider, offer.model, policy.allowed_models):
                offers[offer.model].append(offer)
        return [self._entry(model, tuple(offers[model])) for model in sorted(offers)]

    def _entry(self, model: str, offers: tuple[Offer, ...]) -> ModelEntry:
        name, created = self.plane.router.description(offers[0])
        return ModelEntry(model=model, name=name, created=created, offers=offers)

    async def _send_json(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        own = [(b"content-length", str(len(body)).encode())]
        if not any(name == b"content-type" for name, _ in headers):
            own.append((b"content-type", b"application/json"))
        await self.send_headers(status=status, headers=[*headers, *own])
        await self.send_body(body, more_body=True)


class ModelList(ListingConsumer):
    """`GET …/models` as OpenAI lists them."""

    async def content(self, policy: Policy) -> Any:
        return model_list(self.entries(policy))


class ModelDetail(ListingConsumer):
    """`GET …/models/{id}`; an id may contain `/` and `@`."""

    async def content(self, policy: Policy) -> Any:
        wanted = unquote(self.scope["path"].partition("/models/")[2])
        for entry in self.entries(policy):
            for offer in entry.offers:
                if wanted in (f"{offer.provider}/{offer.model}", f"{offer.model}@{offer.provider}"):
                    return model_object(self._entry(entry.model, (offer,)))
            if wanted == entry.model:
                return model_object(entry)
        raise ModelNotFound(f"There is no model {wanted[:200]!r} that this key may use.", param="model")


class UnifyModels(ListingConsumer):
    """`GET /v0/models`: sorted names; `?format=openai` gives OpenAI's list."""

    async def content(self, policy: Policy) -> Any:
        entries = self.entries(policy)
        if self.query.get("format") == "openai":
            return model_list(entries)
        return model_names(entries, provider=self.query.get("provider"))


class UnifyProviders(ListingConsumer):
    """`GET /v0/providers`: sorted names, of one model with `?model=`."""

    async def content(self, policy: Policy) -> Any:
        return provider_names(self.entries(policy), model=self.query.get("model"))


class UnifyEndpoints(ListingConsumer):
    """`GET /v0/endpoints`: sorted `model@provider`, filtered by `?model=` or `?provider=`."""

    async def content(self, policy: Policy) -> Any:
        return endpoint_names(
            self.entries(policy), model=self.query.get("model"), provider=self.query.get("provider")
        )


class Credits(ListingConsumer):
    """`GET /v0/credits`: what the organization has left, in US dollars, holds not counted."""

    async def content(self, policy: Policy) -> Any:
        wallet = wallet_of(policy)
        spent_nano = await self._spent_nano(wallet)
        left_nano = wallet.rule.amount_nano - spent_nano
        return {"id": policy.organization_id, "credits": left_nano / NANO_PER_USD}

    async def _spent_nano(self, wallet: MoneyCounter) -> int:
        try:
            spent = await self.plane.redis.call("HGET", wallet.key, "s")
            if spent is None:
                await self.plane.rebuilder.rebuild(wallet)
                spent = await self.plane.redis.call("HGET", wallet.key, "s")
        except RedisAway as exc:
            raise TemporarilyUnavailable(reason="limits_unavailable") from exc
        return int(spent or 0)
