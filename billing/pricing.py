"""What a request costs: a pure function of the usage vector and one dated price.

Rates are integers of pico-dollars per token (USD per million tokens times 10^6), so nothing is
rounded until the total. Where prices come from is `billing.price_book`; the rules of the units
and their sources are in billing/prices/README.md. What an organization is charged for that cost
is `billing.sales`.
"""

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import force_setattr

from billing.errors import UnknownPrice
from billing.money import PICO_PER_NANO, pico_to_nano, pico_to_text
from billing.usage import TokenUsage

INPUT_UNITS = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input")
CACHED_INPUT_UNITS = ("cached_input",)
FRESH_INPUT_UNITS = tuple(unit for unit in INPUT_UNITS if unit not in CACHED_INPUT_UNITS)
OUTPUT_UNITS = ("output", "reasoning", "audio_output")
AUDIO_UNITS = frozenset({"audio_input", "audio_output"})

# A unit without a rate of its own costs what it is a part of. Audio has no such default.
DEFAULT_UNIT = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "image_input": "input",
    "reasoning": "output",
}

DEFAULT_TIER = "default"
TIERS = (DEFAULT_TIER, "flex", "priority", "batch")
# Providers' other words for the tier that is asked for by saying nothing. Groq's is on_demand,
# https://console.groq.com/docs/service-tiers; Anthropic's is standard,
# https://platform.claude.com/docs/en/api/service-tiers (checked 2026-11-27)
WORDS_OF_DEFAULT_TIER = frozenset({"", "auto", "default", "standard", "on_demand"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars per token of each unit; None where the provider names none."""

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    cache_write_1h: int | None = None

    def rate_of(self, unit: str) -> int:
        """Pico-dollars for one token of `unit`. Raises UnknownPrice if neither it nor its default has one."""
        wanted: str | None = unit
        while wanted is not None:
            rate: int | None = getattr(self, wanted)
            if rate is not None:
                return rate
            wanted = DEFAULT_UNIT.get(wanted)
        raise UnknownPrice(f"The price has no rate for {unit} tokens.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContext:
    """Rates of the whole request once its prompt is longer than `above_prompt_tokens`."""

    above_prompt_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """The rates of one model at one provider from one day on. `version` names exactly these numbers.

    `tier` and `region` say which of the provider's prices it is; `tiers` are the other service
    tiers there, each a price of its own. `is_ceiling`: what an owner lets a model cost of which
    nobody knows the price.
    """

    version: str
    per_request_pico: int = 0
    per_search_pico: int | None = None
    long_contexts: tuple[LongContext, ...] = ()
    tier: str = DEFAULT_TIER
    region: str = ""
    tiers: tuple["Price", ...] = ()
    is_ceiling: bool = False

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates of a prompt of this length; tiers are kept in ascending order."""
        if not self.long_contexts:
            return self
        applicable = [tier.rates for tier in self.long_contexts if prompt_tokens > tier.above_prompt_tokens]
        return applicable[-1] if applicable else self

    def at_tier(self, name: str) -> "Price":
        """The price of a service tier, by the word for it in a request or an answer.

        Raises UnknownPrice for a tier that has none.
        """
        if name in WORDS_OF_DEFAULT_TIER or name == self.tier:
            return self
        for price in self.tiers:
            if price.tier == name:
                return price
        raise UnknownPrice(f"The price {self.version} has no service tier {name[:32]!r}.")

    def tiers_within(self, asked: str | None) -> tuple["Price", ...]:
        """The prices of all tiers that may serve a request which asks for this one.

        A provider may serve a dearer tier as the default, and says so in its answer. Asked for
        nothing or "auto", the provider's own settings decide, so it may be any tier but batch.
        https://platform.openai.com/docs/api-reference/chat/create#chat_create-service_tier
        (checked 2026-11-27)
        """
        if not self.tiers:
            return (self,)
        if asked is None or asked == "auto":
            return (self, *(price for price in self.tiers if price.tier != "batch"))
        return (self, *(price for price in self.tiers if price.tier == asked))


class Cost(Struct, frozen=True):
    """A request's cost in pico-dollars by part; `input_pico` holds all prompt tokens but cached reads."""

    input_pico: int = 0
    cached_input_pico: int = 0
    output_pico: int = 0
    request_pico: int = 0
    total_nano: int = 0
    """The amount to book: the exact sum, rounded once, half to even. Always computed from the parts."""

    def __post_init__(self) -> None:
        force_setattr(self, "total_nano", pico_to_nano(self.total_pico))

    @property
    def total_pico(self) -> int:
        return self.input_pico + self.cached_input_pico + self.output_pico + self.request_pico

    def parts_usd(self) -> dict[str, str]:
        """Each part in dollars as a decimal string, unrounded."""
        return {
            "input": pico_to_text(self.input_pico),
            "cached_input": pico_to_text(self.cached_input_pico),
            "output": pico_to_text(self.output_pico),
            "request": pico_to_text(self.request_pico),
        }


def cost_of(usage: TokenUsage, price: Price) -> Cost:
    """Price each disjoint count and keep the parts apart, unrounded.

    Raises UnknownPrice if `price` lacks a unit that `usage` has: a price is never guessed,
    and never zero by omission.
    """
    rates = price.rates_for(usage.prompt_tokens)
    return Cost(
        input_pico=_part(usage, rates, FRESH_INPUT_UNITS),
        cached_input_pico=_part(usage, rates, CACHED_INPUT_UNITS),
        output_pico=_part(usage, rates, OUTPUT_UNITS),
        request_pico=price.per_request_pico + _searches(usage.searches, price),
    )


def worst_case_nano(
    price: Price,
    *,
    prompt_tokens: int,
    output_tokens: int,
    choices: int = 1,
    searches: int = 0,
    has_audio: bool = True,
) -> int:
    """An upper bound of what `cost_of` gives for any usage within these counts.

    `output_tokens` is the cap of one choice; the prompt is billed once. Every token is taken at
    the dearest rate it could have, over every context tier the prompt could reach.
    `has_audio=False` leaves audio rates out when neither side of the request can carry audio.
    Raises UnknownPrice if the price has no input or output rate.
    """
    input_rate = _dearest(price, INPUT_UNITS, has_audio=has_audio)
    output_rate = _dearest(price, OUTPUT_UNITS, has_audio=has_audio)
    for context in price.long_contexts:
        if prompt_tokens > context.above_prompt_tokens:
            input_rate = max(input_rate, _dearest(context.rates, INPUT_UNITS, has_audio=has_audio))
            output_rate = max(output_rate, _dearest(context.rates, OUTPUT_UNITS, has_audio=has_audio))
    bound_pico = (
        prompt_tokens * input_rate
        + output_tokens * choices * output_rate
        + price.per_request_pico
        + _searches(searches, price)
    )
    return -(-bound_pico // PICO_PER_NANO)


def _part(usage: TokenUsage, rates: Rates, units: tuple[str, ...]) -> int:
    pico = 0
    for unit in units:
        count: int = getattr(usage, unit)
        if count:
            pico += count * rates.rate_of(unit)
    return pico


def _searches(count: int, price: Price) -> int:
    if not count:
        return 0
    if price.per_search_pico is None:
        raise UnknownPrice(f"The price {price.version} has no rate for web searches.")
    return count * price.per_search_pico


def _dearest(rates: Rates, units: tuple[str, ...], *, has_audio: bool) -> int:
    dearest = rates.rate_of(units[0])
    for unit in units:
        rate: int | None = getattr(rates, unit)
        if rate is not None and rate > dearest and (has_audio or unit not in AUDIO_UNITS):
            dearest = rate
    return dearest
