"""The router: what a choice comes to with connections, a price book and a hold."""

from collections.abc import Sequence
from dataclasses import replace

from billing.price_book import load_price_book
from gateway.explanation import explained
from gateway.policy import Policy, Reach
from gateway.policy_store import PolicyStore
from gateway.router import Router
from gateway.routing.target import Offer
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import JsonObject
from gateway.wire.wishes import wished
from tests.gateway.limits_bench import policy, settings
from tests.gateway.shelf import connection, offer, request

NO_FALLBACK = {b"x-no-fallback": b"true"}


def router() -> Router:
    return Router(load_price_book(), PolicyStore(settings()), targets_limit=5)


def owner_of(offers: Sequence[Offer]) -> Policy:
    """Who has connected the providers of these models and declared them."""
    providers = dict.fromkeys(one.provider for one in offers)
    connections = tuple(connection(provider, is_own=True) for provider in providers)
    return replace(policy(), own_reach=Reach(connections, {(one.provider, one.model): one for one in offers}))


def explanation(asked: ChatRequest, owner: Policy) -> JsonObject:
    one = router()
    return explained(one.explain(asked, owner), asked, health=one.health, scoring=one.scoring)


def test_that_nothing_can_serve_is_explained_to_who_wants_no_fallback_too() -> None:
    asked = request("[max_context=5]own-llm/m", extra_body={"request_context_tokens": 6})
    owner = owner_of([offer("own-llm", "m")])

    answer = explanation(wished(asked, NO_FALLBACK), owner)

    assert (answer["outcome"], answer["targets"], answer["hold"]) == ("refuse", [], None)
    assert answer["error"]["status"] == 503
