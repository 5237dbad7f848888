"""The router: what a choice comes to with connections, a price book and a hold."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from billing.price_book import load_price_book
from gateway.errors import NoPrice
from gateway.explanation import explained
from gateway.policy import Policy, Reach
from gateway.policy_store import PolicyStore
from gateway.router import Router
from gateway.routing.target import Offer
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import JsonObject
from gateway.wire.wishes import wished
from tests.gateway.limits_bench import policy, settings
from tests.gateway.shelf import connection, names, offer, price, request

SEARCHED = replace(price(1_000), per_search_pico=10_000_000)
NO_FALLBACK = {b"x-no-fallback": b"true"}


def router() -> Router:
    return Router(load_price_book(), PolicyStore(settings()), targets_limit=5)


def owner_of(offers: Sequence[Offer]) -> Policy:
    """Who has connected the providers of these models and declared them."""
    providers = dict.fromkeys(one.provider for one in offers)
    connections = tuple(connection(provider, is_own=True) for provider in providers)
    declared = {(one.provider, one.model): one for one in offers}
    return replace(policy(), project_mode="hybrid", own_reach=Reach(connections, declared))


def explanation(asked: ChatRequest, owner: Policy) -> JsonObject:
    one = router()
    return explained(one.explain(asked, owner), asked, health=one.health, scoring=one.scoring)


def test_that_nothing_can_serve_is_explained_to_who_wants_no_fallback_too() -> None:
    asked = request("[max_context=5]own-llm/m", extra_body={"request_context_tokens": 6})
    owner = owner_of([offer("own-llm", "m")])

    answer = explanation(wished(asked, NO_FALLBACK), owner)

    assert (answer["outcome"], answer["targets"], answer["hold"]) == ("refuse", [], None)
    assert answer["error"]["status"] == 503


RATED = [
    offer("own-llm", "rated", price=SEARCHED),
    offer("own-llm", "dear", price=replace(SEARCHED, per_search_pico=20_000_000)),
    offer("own-llm", "unrated"),
    offer("other-llm", "unrated"),
]


@pytest.mark.parametrize(
    ("model", "fallbacks"),
    [
        ("own-llm/rated", ["own-llm/unrated"]),
        ("own-llm/unrated", ["own-llm/rated"]),
        ("own-llm/unrated|own-llm/rated", ["other-llm/unrated"]),
        ("own-llm/unrated!own-llm/rated", []),
    ],
)
def test_what_has_no_price_for_what_is_asked_gives_way_to_what_has_one(
    model: str, fallbacks: list[str]
) -> None:
    owner, asked = owner_of(RATED), request(model, fallbacks=fallbacks, stream=True, web_search=True)
    alone = router().route(request("own-llm/rated", stream=True, web_search=True), owner)

    route = router().route(asked, owner)

    assert names(route.targets) == ["own-llm/rated"]
    assert not route.targets[0].is_race_leg
    assert route.need == alone.need


def test_legs_with_a_price_race_on_without_one_that_has_none() -> None:
    asked = request("own-llm/rated!other-llm/unrated!own-llm/dear", stream=True, web_search=True)

    route = router().route(asked, owner_of(RATED))

    assert [(target.model, target.is_race_leg) for target in route.targets] == [
        ("rated", True),
        ("dear", True),
    ]


def test_where_nothing_has_a_price_for_what_is_asked_it_is_refused() -> None:
    asked = request("own-llm/unrated", fallbacks=["other-llm/unrated"], web_search=True)

    with pytest.raises(NoPrice) as refusal:
        router().route(asked, owner_of(RATED))

    assert (refusal.value.status, refusal.value.code) == (400, "model_price_unavailable")
    answer = explanation(asked, owner_of(RATED))
    assert (answer["outcome"], answer["targets"], answer["hold"]) == ("refuse", [], None)
    assert answer["error"]["code"] == "model_price_unavailable"


def test_what_has_no_price_for_what_is_asked_is_explained() -> None:
    asked = request("own-llm/unrated", fallbacks=["own-llm/rated"], web_search=True)

    answer = explanation(asked, owner_of(RATED))

    assert (answer["outcome"], [target["model"] for target in answer["targets"]]) == ("route", ["rated"])
    assert [(one["model"], one["is_accepted"]) for one in answer["considered"]] == [
        ("unrated", False),
        ("rated", True),
    ]
    assert answer["considered"][0]["refusal"]["code"] == "model_price_unavailable"


def test_a_leg_that_is_left_alone_at_the_first_provider_does_not_race() -> None:
    owner = owner_of([offer("own-llm", "a"), offer("own-llm", "b"), offer("other-llm", "c")])
    asked = wished(request("[thinker]own-llm/a^own-llm/b!other-llm/c", stream=True), NO_FALLBACK)

    routes = [router().route(asked, owner) for _ in range(20)]

    assert all(sum(target.is_race_leg for target in route.targets) != 1 for route in routes)
    assert all(route.targets for route in routes)
