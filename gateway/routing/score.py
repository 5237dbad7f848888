"""Scores: which provider of a model comes first when the client has named none.

The formula of CONTRACT 1.4.3: price, uptime, throughput, latency of streams and, for long prompts,
cheaper reading of what was sent before. Each part says how much worse an offer is than the best one
in that respect, from 0 to 1, times its weight; the lowest sum is best. What nobody has measured
counts as good, so that it is tried. Figures come from `gateway.health`; nothing is called here.
"""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random

from msgspec import Struct

from gateway.routing.health_view import UNMEASURED, TargetHealth
from gateway.routing.target import Offer

# Below this share of answered attempts an offer is not merely a little worse.
GOOD_UPTIME = 0.95
PENALTY_PER_MISSING_UPTIME = 10.0
# From here on it matters that the next request of a conversation finds its beginning in the provider's cache.
LONG_PROMPT_TOKENS = 5_000


class Scoring(Struct, frozen=True, kw_only=True):
    """The weights; what difference a session overlooks; how often another than the best is tried first."""

    price_weight: float = 0.6
    uptime_weight: float = 0.5
    throughput_weight: float = 0.05
    latency_weight: float = 0.025
    cache_weight: float = 0.2
    session_margin: float = 0.15
    exploration_share: float = 0.0


class Score(Struct, frozen=True):
    """An offer and how much worse than the best it is, in all and in each respect, weights applied."""

    offer: Offer
    total: float
    parts: dict[str, float]


PLAIN_SCORING = Scoring()
# What a request may prefer (`routing`), beside not to be sent to who is down.
PREFERRED_SCORING = {
    "price": Scoring(price_weight=1.0, throughput_weight=0.0, latency_weight=0.0, cache_weight=0.0),
    "throughput": Scoring(price_weight=0.0, throughput_weight=1.0, latency_weight=0.0, cache_weight=0.0),
    "latency": Scoring(price_weight=0.0, throughput_weight=0.0, latency_weight=1.0, cache_weight=0.0),
}


def rank(
    offers: Sequence[Offer],
    *,
    health: TargetHealth = UNMEASURED,
    scoring: Scoring = PLAIN_SCORING,
    is_stream: bool = False,
    prompt_tokens: int = 0,
    session_id: str = "",
    luck: Random | None = None,
) -> list[Offer]:
    """The offers, the best first. What has no price comes last.

    A session stays with its provider as long as that is within `session_margin` of the best. Without
    one, `luck` puts any other in front once in a while, so that what has become better is noticed.
    """
    if len(offers) < 2:
        return list(offers)
    scores = score(offers, health=health, scoring=scoring, is_stream=is_stream, prompt_tokens=prompt_tokens)
    ranked = [each.offer for each in scores]
    priced = [each for each in scores if each.total < float("inf")]
    if session_id:
        near = [each.offer for each in priced if each.total <= priced[0].total + scoring.session_margin]
        return _led_by(_of_session(session_id, near), ranked) if near else ranked
    if luck is not None and len(priced) > 1 and luck.random() < scoring.exploration_share:
        return _led_by(luck.choice(priced[1:]).offer, ranked)
    return ranked


def score(
    offers: Sequence[Offer],
    *,
    health: TargetHealth = UNMEASURED,
    scoring: Scoring = PLAIN_SCORING,
    is_stream: bool = False,
    prompt_tokens: int = 0,
) -> list[Score]:
    """Each offer's score, the best first; the cheaper one, then the provider's name, decides a tie."""
    expenses = [expense(offer) for offer in offers]
    names = [(offer.provider, offer.model) for offer in offers]
    parts = {
        "price": (_above_least(expenses), scoring.price_weight),
        "uptime": ([_downtime(health.uptime(*name)) for name in names], scoring.uptime_weight),
        "throughput": (
            _below_most([health.throughput_tokens_per_second(*name) for name in names]),
            scoring.throughput_weight,
        ),
    }
    if is_stream:
        waits_ms = [health.ttft_ms(*name) for name in names]
        parts["latency"] = (_above_least(waits_ms), scoring.latency_weight)
    if prompt_tokens >= LONG_PROMPT_TOKENS:
        parts["cache"] = ([float(not _reads_cache(offer)) for offer in offers], scoring.cache_weight)
    scores = []
    for position, offer in enumerate(offers):
        weighed = {name: round(worse[position] * weight, 6) for name, (worse, weight) in parts.items()}
        total = float("inf") if expenses[position] is None else sum(weighed.values())
        scores.append((total, expenses[position] or 0, offer.provider, Score(offer, total, weighed)))
    return [entry[-1] for entry in sorted(scores, key=lambda entry: entry[:3])]


def expense(offer: Offer) -> int | None:
    """What a usual request costs: three prompt tokens to one of output, as prompts are longer."""
    price = offer.price
    if price is None or price.input is None or price.output is None:
        return None
    return 3 * price.input + price.output


def _led_by(first: Offer, ranked: list[Offer]) -> list[Offer]:
    return [first, *(offer for offer in ranked if offer is not first)]


def _of_session(session_id: str, offers: Sequence[Offer]) -> Offer:
    """The one that this session falls to: one that joins or leaves moves only the sessions it must."""

    def draw(offer: Offer) -> bytes:
        return blake2b(f"{session_id}\n{offer.provider}/{offer.model}".encode(), digest_size=8).digest()

    return max(offers, key=draw)


def _above_least(figures: Sequence[float | None]) -> list[float]:
    """How far each is above the least, as a share of that: 1 is twice as much or more."""
    known = [figure for figure in figures if figure is not None]
    least = min(known, default=0)
    if not least:
        return [float(bool(figure)) for figure in figures]
    return [0.0 if figure is None else min(1.0, figure / least - 1) for figure in figures]


def _below_most(figures: Sequence[float | None]) -> list[float]:
    """By what share each is below the most."""
    most = max((figure for figure in figures if figure is not None), default=0)
    return [0.0 if figure is None or not most else 1 - figure / most for figure in figures]


def _downtime(uptime: float | None) -> float:
    if uptime is None:
        return 0.0
    return (1 - uptime) + PENALTY_PER_MISSING_UPTIME * max(0.0, GOOD_UPTIME - uptime)


def _reads_cache(offer: Offer) -> bool:
    return offer.price is not None and offer.price.cached_input is not None
