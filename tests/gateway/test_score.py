"""Which provider of a model comes first: price, uptime, throughput, latency, cache; sessions and luck."""

from collections import Counter
from random import Random
from uuid import UUID

import pytest
from msgspec import Struct

from billing.pricing import Price
from gateway.routing.score import Scoring, rank, score
from gateway.routing.target import Offer
from tests.gateway.shelf import offer, price


class Measured(Struct, frozen=True):
    """What was measured, by provider."""

    uptimes: dict[str, float] = {}
    ttfts_ms: dict[str, float] = {}
    throughputs: dict[str, float] = {}

    def ttft_ms(self, provider: str, model: str) -> float | None:
        return self.ttfts_ms.get(provider)

    def inter_token_ms(self, provider: str, model: str) -> float | None:
        return None

    def uptime(self, provider: str, model: str) -> float | None:
        return self.uptimes.get(provider)

    def throughput_tokens_per_second(self, provider: str, model: str) -> float | None:
        return self.throughputs.get(provider)

    def is_open(self, provider: str, model: str, connection_id: UUID | None) -> bool:
        return False


CHEAP, FAIR, DEAR = offer("cheap", "m", 1000), offer("fair", "m", 1200), offer("dear", "m", 2000)
THREE = [DEAR, CHEAP, FAIR]


def providers(offers: list[Offer]) -> list[str]:
    return [each.provider for each in offers]


def first(offers: list[Offer], health: Measured, **options: bool | int) -> str:
    return rank(offers, health=health, **options)[0].provider  # type: ignore[arg-type]  # test options


def test_the_cheapest_comes_first_where_nothing_was_measured() -> None:
    assert providers(rank(THREE)) == ["cheap", "fair", "dear"]


def test_twice_the_price_is_as_bad_as_a_price_gets_and_the_cheaper_of_two_such_still_leads() -> None:
    offers = [offer("a", "m", 5000), offer("b", "m", 4000), CHEAP]

    assert [(each.offer.provider, each.total) for each in score(offers)] == [
        ("cheap", 0.0),
        ("b", 0.6),
        ("a", 0.6),
    ]


def test_equal_offers_are_in_the_order_of_their_names() -> None:
    assert providers(rank([offer("b", "m"), offer("a", "m")])) == ["a", "b"]


def test_without_a_price_it_comes_last_whatever_it_can_do() -> None:
    health = Measured(uptimes={"cheap": 0.0, "none": 1.0})

    assert providers(rank([offer("none", "m", price=None), CHEAP], health=health)) == ["cheap", "none"]


def test_a_free_model_is_cheaper_than_any_other() -> None:
    assert providers(rank([CHEAP, offer("free", "m", price=price(0))])) == ["free", "cheap"]


@pytest.mark.parametrize(("uptime", "part", "leader"), [(0.95, 0.025, "cheap"), (0.93, 0.135, "fair")])
def test_below_95_per_cent_uptime_failures_weigh_ten_times_as_much(
    uptime: float, part: float, leader: str
) -> None:
    health = Measured(uptimes={"cheap": uptime, "fair": 1.0})

    # 20 % dearer is 0.12.
    assert first([CHEAP, FAIR], health) == leader
    assert score([CHEAP], health=health)[0].parts["uptime"] == part


def test_one_that_mostly_fails_comes_last() -> None:
    assert first([CHEAP, DEAR], Measured(uptimes={"cheap": 0.8})) == "dear"


def test_throughput_and_latency_decide_between_equal_prices() -> None:
    a, b = offer("a", "m"), offer("b", "m")

    assert first([a, b], Measured(throughputs={"a": 50, "b": 100})) == "b"
    assert first([a, b], Measured(ttfts_ms={"a": 300, "b": 200}), is_stream=True) == "b"


def test_latency_says_nothing_of_whole_answers() -> None:
    assert first([offer("a", "m"), offer("b", "m")], Measured(ttfts_ms={"a": 300, "b": 200})) == "a"


@pytest.mark.parametrize(("prompt_tokens", "leader"), [(4_999, "bare"), (5_000, "caching")])
def test_from_5000_tokens_on_cached_reading_is_worth_a_third_of_the_price(
    prompt_tokens: int, leader: str
) -> None:
    caching = Price(version="test", input=1200, output=0, cached_input=100)
    offers = [offer("bare", "m", 1000), offer("caching", "m", price=caching)]

    assert first(offers, Measured(), prompt_tokens=prompt_tokens) == leader


def test_every_weight_can_be_set_and_is_shown() -> None:
    scoring = Scoring(price_weight=0, uptime_weight=0, throughput_weight=2.0, latency_weight=1.0)
    health = Measured(throughputs={"cheap": 50, "dear": 100}, ttfts_ms={"cheap": 300, "dear": 200})

    scores = score([CHEAP, DEAR], health=health, scoring=scoring, is_stream=True)

    assert [(each.offer.provider, each.total) for each in scores] == [("dear", 0.0), ("cheap", 1.5)]
    assert scores[1].parts == {"price": 0.0, "uptime": 0.0, "throughput": 1.0, "latency": 0.5}


def test_a_session_stays_where_it_is_and_sessions_spread_over_what_is_near_the_best() -> None:
    chosen = {number: providers(rank(THREE, session_id=f"session {number}")) for number in range(200)}

    assert chosen == {number: providers(rank(THREE, session_id=f"session {number}")) for number in range(200)}
    leaders = Counter(order[0] for order in chosen.values())
    # 20 % dearer is 0.12 and near, twice as dear is 0.6 and is not.
    assert leaders.keys() == {"cheap", "fair"}
    assert min(leaders.values()) > 60
    assert {tuple(sorted(order)) for order in chosen.values()} == {("cheap", "dear", "fair")}


def test_a_session_leaves_what_has_become_worse_by_the_margin() -> None:
    session = next(f"s{n}" for n in range(100) if rank([CHEAP, FAIR], session_id=f"s{n}")[0] is CHEAP)

    near, far = Measured(uptimes={"cheap": 0.95}), Measured(uptimes={"cheap": 0.9})

    assert rank([CHEAP, FAIR], session_id=session, health=near)[0] is CHEAP
    assert rank([CHEAP, FAIR], session_id=session, health=far)[0] is FAIR


def test_a_provider_that_goes_moves_only_its_own_sessions() -> None:
    a, b, c = (offer(name, "m") for name in "abc")
    before = {n: rank([a, b, c], session_id=f"s{n}")[0] for n in range(100)}

    after = {n: rank([a, b], session_id=f"s{n}")[0] for n in range(100)}

    assert {n for n in before if before[n] is not after[n]} == {n for n in before if before[n] is c}


def test_one_in_a_hundred_tries_another_and_the_seed_says_which() -> None:
    scoring = Scoring(exploration_share=0.01)

    leaders = [
        rank(THREE, scoring=scoring, luck=luck)[0].provider for luck in [Random(7)] for _ in range(10_000)
    ]

    counts = Counter(leaders)
    assert 60 < counts["fair"] + counts["dear"] < 140
    assert min(counts["fair"], counts["dear"]) > 0
    luck = Random(7)
    assert leaders == [rank(THREE, scoring=scoring, luck=luck)[0].provider for _ in range(10_000)]


def test_without_luck_and_in_a_session_nothing_is_tried_out() -> None:
    always = Scoring(exploration_share=1.0)

    assert rank(THREE, scoring=always)[0] is CHEAP
    session = "a session"
    assert rank(THREE, scoring=always, session_id=session, luck=Random(1)) == rank(THREE, session_id=session)
    assert rank(THREE, scoring=always, luck=Random(1))[0] is not CHEAP
