"""Listings: which models a key may use, which providers there are, and what credit is left.

Small answers from memory, read by any OpenAI client (`/v1/models`), by Unify's (`/v0/models`,
`/v0/providers`, `/v0/endpoints`, `/v0/endpoint-details`, `/v0/credits`) and by LLM Gateway's
(`/v1/credits`). Their shapes are in `gateway.wire.models`, what may be asked in `gateway.listing_query`.
"""

import time
from collections import defaultdict
from collections.abc import Container, Iterator
from datetime import date
from typing import Any
from urllib.parse import unquote

import orjson

from gateway.admission import wallet_of
from gateway.consumers import HttpConsumer
from gateway.errors import EndpointNotFound, GatewayError, InvalidValue, ModelNotFound, TemporarilyUnavailable
from gateway.exchange import HeaderPairs
from gateway.identifiers import new_request_id
from gateway.limits import MoneyCounter
from gateway.listing_query import CUSTOM, ListQuery, is_custom, read_query
from gateway.plane import Plane
from gateway.policy import Policy
from gateway.redis_pipeline import RedisAway
from gateway.routing.permission import is_allowed
from gateway.routing.target import Offer
from gateway.wire.dialect import DIALECTS
from gateway.wire.failure import render_failure
from gateway.wire.models import (
    ModelEntry,
    endpoint_details,
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
        self._began = time.perf_counter()

    async def handle(self, body: bytes) -> None:
        try:
            policy = await self.plane.callers.identify(self.headers, peer=self.peer)
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
        failure = render_failure(
            error, dialect=self._dialect, event_id=event_id, request_id=shown_id, place="query"
        )
        headers = [(name.encode(), value.encode()) for name, value in failure.headers.items()]
        await self._send_json(failure.status, headers, failure.body)

    @property
    def _shown_id(self) -> str:
        return self.client_request_id or str(self._request_id)

    @property
    def query(self) -> ListQuery:
        """What the query string asks for; raises InvalidRequest and its kin when something is wrong there."""
        return read_query(self.scope["query_string"])

    @property
    def today(self) -> date:
        return self.plane.clock.now().date()

    def entries(
        self,
        policy: Policy,
        *,
        with_deactivated: bool = False,
        and_unpriced: Container[tuple[str, str]] = (),
    ) -> list[ModelEntry]:
        """Every model this key may use, with its offers; without a price only those that are named."""
        offers: defaultdict[str, list[Offer]] = defaultdict(list)
        catalogue = self.plane.router.catalogue(policy)
        for offer in catalogue.offers(with_deactivated=with_deactivated):
            is_listed = offer.price is not None or (offer.provider, offer.model) in and_unpriced
            if is_listed and is_allowed(offer.provider, offer.model, policy.allowed_models):
                offers[offer.model].append(offer)
        return [self._entry(model, tuple(offers[model])) for model in sorted(offers)]

    def wanted_entries(self, policy: Policy, query: ListQuery) -> list[ModelEntry]:
        """Those of them that the query asks for."""
        entries = self.entries(policy, with_deactivated=query.include_deactivated)
        if query.exclude_deprecated:
            entries = [entry for entry in entries if not entry.description.is_deprecated(self.today)]
        if query.provider is None:
            return entries
        return list(self._narrowed(entries, query.provider))

    def _narrowed(self, entries: list[ModelEntry], provider: str) -> Iterator[ModelEntry]:
        for entry in entries:
            offers = tuple(offer for offer in entry.offers if offer.provider == provider)
            if offers:
                yield self._entry(entry.model, offers)

    def _entry(self, model: str, offers: tuple[Offer, ...]) -> ModelEntry:
        return ModelEntry(model, self.plane.router.description(offers[0]), offers)

    async def _send_json(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        taken_ms = b"%d" % ((time.perf_counter() - self._began) * 1000)
        own = [(b"content-length", b"%d" % len(body)), (b"openai-processing-ms", taken_ms)]
        if not any(name == b"content-type" for name, _ in headers):
            own.append((b"content-type", b"application/json"))
        await self.send_headers(status=status, headers=[*headers, *own])
        await self.send_body(body, more_body=True)


class ModelList(ListingConsumer):
    """`GET …/models` as OpenAI lists them, by pages if asked so."""

    async def content(self, policy: Policy) -> Any:
        query = self.query
        return model_list(self.wanted_entries(policy, query), today=self.today, page=query.page)


class ModelDetail(ListingConsumer):
    """`GET …/models/{id}`; an id may contain `/`, `@` and `:`, and may be an alias."""

    async def content(self, policy: Policy) -> Any:
        wanted = unquote(self.scope["path"].partition("/models/")[2]).rstrip("/")
        for entry in self.entries(policy, with_deactivated=self.query.include_deactivated):
            if wanted == entry.model or wanted in entry.description.aliases:
                return model_object(entry, today=self.today)
            for offer in entry.offers:
                if wanted in self._names_of(offer):
                    return model_object(self._entry(entry.model, (offer,)), today=self.today)
        raise ModelNotFound(f"There is no model {wanted[:200]!r} that this key may use.", param="model")

    def _names_of(self, offer: Offer) -> Iterator[str]:
        for model in (offer.model, *self.plane.router.description(offer).aliases):
            yield from (f"{offer.provider}/{model}", f"{model}@{offer.provider}", f"{offer.provider}:{model}")


class UnifyModels(ListingConsumer):
    """`GET /v0/models`: sorted names; `?format=openai` gives OpenAI's list."""

    async def content(self, policy: Policy) -> Any:
        query = self.query
        entries = self.wanted_entries(policy, query)
        if query.is_openai_format:
            return model_list(entries, today=self.today, page=query.page)
        return model_names(entries)


class UnifyProviders(ListingConsumer):
    """`GET /v0/providers`: sorted names, of one model with `?model=`; `custom` last if there are own ones."""

    async def content(self, policy: Policy) -> Any:
        model = self.query.model
        own = any(model in (None, name) for _, name in policy.own_reach.offers)
        names = provider_names(self.entries(policy), model=model)
        return [name for name in names if not is_custom(name)] + [CUSTOM] * own


class UnifyEndpoints(ListingConsumer):
    """`GET /v0/endpoints`: sorted `model@provider`; of `?model=`, of `?provider=`, or own ones (`custom`)."""

    async def content(self, policy: Policy) -> Any:
        query = self.query
        if query.model is not None and query.provider is not None:
            raise InvalidValue("Give either model or provider, not both.", param="provider")
        own = policy.own_reach.offers
        entries = self.entries(policy, and_unpriced=own)
        if query.provider != CUSTOM:
            return endpoint_names(entries, model=query.model, provider=query.provider)
        return [name for name in endpoint_names(entries) if _place_of(name) in own]


class UnifyEndpointDetails(ListingConsumer):
    """`GET /v0/endpoint-details?endpoint=model@provider`: its window and its prices per million tokens."""

    async def content(self, policy: Policy) -> Any:
        endpoint = self.query.endpoint
        provider, model = _place_of(endpoint)
        if not provider or not model:
            raise InvalidValue(
                f"endpoint must be model@provider, as in gpt-4o@openai, got {endpoint[:200]!r}.",
                param="endpoint",
            )
        offer = self.plane.router.catalogue(policy).listing(provider, model)
        if offer is None or not is_allowed(provider, offer.model, policy.allowed_models):
            raise EndpointNotFound(param="endpoint")
        return endpoint_details(endpoint, offer)


def _place_of(endpoint: str) -> tuple[str, str]:
    model, _, provider = endpoint.rpartition("@")
    return provider, model


class Credits(ListingConsumer):
    """`GET /v0/credits`: what the organization has left, in US dollars, holds not counted."""

    async def content(self, policy: Policy) -> Any:
        wallet = wallet_of(policy)
        left_nano = wallet.rule.amount_nano - await self._spent_nano(wallet)
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


class CreditsGranted(Credits):
    """`GET /v1/credits`: the same, with all that was ever credited and all that usage has taken of it."""

    async def content(self, policy: Policy) -> Any:
        wallet = wallet_of(policy)
        granted_nano, spent_nano = wallet.rule.amount_nano, await self._spent_nano(wallet)
        left_usd = (granted_nano - spent_nano) / NANO_PER_USD
        return {
            "id": policy.organization_id,
            "credits": left_usd,
            "currency": "USD",
            "data": {
                "total_credits": granted_nano / NANO_PER_USD,
                "total_usage": spent_nano / NANO_PER_USD,
                "remaining": left_usd,
            },
        }
