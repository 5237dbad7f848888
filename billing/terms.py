"""Terms: what a request costs at its provider, and what its organization is charged for that.

An organization is charged the cost itself, the cost with the operator's markup, or its own price.
A version names both sides, so that each amount can be computed again from it for ever:

    openai/gpt-5.4@2026-03-05.9d67e521                      charged what it costs
    openai/gpt-5.4@2026-03-05.9d67e521 x1.05 +0.002         times 1.05, and $0.002 a request
    openai/gpt-5.4@2026-03-05.9d67e521 charged <version>    at the organization's own price
    openai/gpt-5.4@2026-03-05.9d67e521 up to 0.02           no more than was held for the request

Pure. Which terms hold for whom and when is `billing.price_list`; versions are resolved by
`billing.price_versions`.
"""

from dataclasses import dataclass, replace

from msgspec import Struct

from billing.errors import UnknownPrice
from billing.money import NANO_PER_USD, PICO_PER_NANO, PICO_PER_USD, divide_half_even
from billing.pricing import Cost, Price, cost_of
from billing.usage import TokenUsage

# Multipliers are integers of millionths; one is par.
PAR_PPM = 1_000_000
PARTS_OF_COST = 4

CHARGED, TIMES, PLUS, UP_TO = " charged ", " x", " +", " up to "


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A price, and how a charge follows from it. The markup does not bind an organization's own price."""

    price: Price
    own_price: Price | None = None
    multiplier_ppm: int = PAR_PPM
    fee_pico: int = 0
    limit_nano: int | None = None
    """The most that is charged for this request: what was held for it."""

    @property
    def version(self) -> str:
        if self.limit_nano is not None:
            return limited_version(replace(self, limit_nano=None).version, self.limit_nano)
        if self.own_price is not None:
            return f"{self.price.version}{CHARGED}{self.own_price.version}"
        if self.multiplier_ppm == PAR_PPM and not self.fee_pico:
            return self.price.version
        times, plus = _decimal(self.multiplier_ppm, PAR_PPM), _decimal(self.fee_pico, PICO_PER_USD)
        return f"{self.price.version}{TIMES}{times}{PLUS}{plus}"

    def at_tier(self, name: str) -> "Terms":
        """The terms of a service tier. An own price that has none for it does not bind there.

        Raises UnknownPrice if the provider's price has none.
        """
        price, own_price = self.price.at_tier(name), self.own_price
        if own_price is not None:
            own_price = next(
                (each for each in (own_price, *own_price.tiers) if each.tier == price.tier), None
            )
        return replace(self, price=price, own_price=own_price)

    def charge_of(self, usage: TokenUsage, cost: Cost) -> Cost:
        """What is charged, by part; each part of a markup is rounded to the pico-dollar, half to even.

        Raises UnknownPrice if the own price lacks a unit that `usage` has.
        """
        if self.limit_nano is not None:
            unlimited = replace(self, limit_nano=None).charge_of(usage, cost)
            return within(unlimited, self.limit_nano)
        if self.own_price is not None:
            return cost_of(usage, self.own_price)
        if self.multiplier_ppm == PAR_PPM and not self.fee_pico:
            return cost
        return Cost(
            input_pico=self._times(cost.input_pico),
            cached_input_pico=self._times(cost.cached_input_pico),
            output_pico=self._times(cost.output_pico),
            request_pico=self._times(cost.request_pico) + self.fee_pico,
        )

    def charge_bound_nano(self, cost_bound_nano: int) -> int:
        """The most that a markup makes of a cost up to this bound."""
        charge_ppm = cost_bound_nano * PICO_PER_NANO * self.multiplier_ppm
        charge_pico = -(-charge_ppm // PAR_PPM) + PARTS_OF_COST + self.fee_pico
        return -(-charge_pico // PICO_PER_NANO)

    def _times(self, amount_pico: int) -> int:
        return divide_half_even(amount_pico * self.multiplier_ppm, PAR_PPM)


class Bill(Struct, frozen=True):
    """What a request costs at its provider, what its organization is charged, and at which version."""

    cost: Cost
    charge: Cost
    version: str


def bill_of(usage: TokenUsage, terms: Terms) -> Bill:
    """The bill of a usage at these terms. Raises UnknownPrice for a unit without a rate."""
    cost = cost_of(usage, terms.price)
    return Bill(cost, terms.charge_of(usage, cost), terms.version)


def within(charge: Cost, limit_nano: int) -> Cost:
    """The charge, or what of it is within the limit: what is beyond it is taken from the output first."""
    if charge.total_nano <= limit_nano:
        return charge
    left_pico, parts = limit_nano * PICO_PER_NANO, {}
    for part in ("request_pico", "input_pico", "cached_input_pico", "output_pico"):
        parts[part] = min(left_pico, getattr(charge, part))
        left_pico -= parts[part]
    return Cost(**parts)


def split_version(version: str) -> tuple[str, str, int, int]:
    """The version's parts: of the price, of the own price ("" if none), multiplier and fee.

    A limit is not among them: `limit_nano_of` gives it. Raises UnknownPrice if the version is not
    written as `Terms.version` writes it.
    """
    version = version.partition(UP_TO)[0]
    price_version, charged, own_version = version.partition(CHARGED)
    if charged:
        return price_version, own_version, PAR_PPM, 0
    price_version, times, markup = version.partition(TIMES)
    if not times:
        return version, "", PAR_PPM, 0
    multiplier, _, fee = markup.partition(PLUS)
    try:
        return price_version, "", _integer(multiplier, PAR_PPM), _integer(fee, PICO_PER_USD)
    except ValueError as exc:
        raise UnknownPrice(f"The price version {version!r} has no readable markup.") from exc


def limited_version(version: str, limit_nano: int) -> str:
    """The version of a charge that ended at what was held for its request."""
    return f"{version}{UP_TO}{_decimal(limit_nano, NANO_PER_USD)}"


def limit_nano_of(version: str) -> int | None:
    """The most that this version charges; None without a limit. Raises UnknownPrice if it is unreadable."""
    _, has_limit, limit = version.partition(UP_TO)
    try:
        return _integer(limit, NANO_PER_USD) if has_limit else None
    except ValueError as exc:
        raise UnknownPrice(f"The price version {version!r} has no readable limit.") from exc


def _decimal(amount: int, whole: int) -> str:
    """An integer of fractions as a plain decimal: 1050000 of millionths is 1.05."""
    units, rest = divmod(amount, whole)
    decimals = f"{rest:0{len(str(whole)) - 1}d}".rstrip("0")
    return f"{units}.{decimals}" if decimals else str(units)


def _integer(text: str, whole: int) -> int:
    units, _, decimals = text.partition(".")
    width = len(str(whole)) - 1
    if not units.isdecimal() or (decimals and not decimals.isdecimal()) or len(decimals) > width:
        raise ValueError(f"not a plain decimal: {text!r}")
    return int(units) * whole + int(decimals.ljust(width, "0"))
