"""What people state about prices: a price, a markup, a ceiling. Nothing is edited, only stated anew.

Each function is one transaction and takes keywords only. The data plane sees it within a second: an
organization's own through its epoch, the operator's because processes watch the tables. Refusals are
InvalidPrice, naming the field and what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.epochs import bump_epoch
from accounts.models import Organization
from billing.errors import InvalidPrice
from billing.models import Markup, PriceCeiling, PriceFact
from billing.money import PICO_PER_USD
from billing.price_book import PriceBook, load_price_book
from billing.price_facts import (
    FREE,
    MAX_USD_PER_MILLION,
    REQUEST_FIELD,
    SEARCH_FIELD,
    Numbers,
    check_long_contexts,
    name_of,
    price_of,
    rate_pico,
    rates_of,
    to_json,
)
from billing.price_rows import MAX_MODEL_CHARACTERS, MAX_PROVIDER_CHARACTERS, MAX_REGION_CHARACTERS
from billing.pricing import DEFAULT_TIER, TIERS, LongContext, Price
from billing.terms import PAR_PPM

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)
LEAST_MULTIPLIER, MOST_MULTIPLIER = Decimal("0.01"), Decimal(100)
MOST_FEE_USD = Decimal(100)

_PROVIDER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@transaction.atomic
def state_price(
    *,
    provider: str,
    model: str,
    valid_from: date,
    numbers: Numbers,
    organization: Organization | None = None,
    region: str = "",
    tier: str = DEFAULT_TIER,
    last_day: date | None = None,
    source: PriceFact.Source = PriceFact.Source.OPERATOR,
    source_url: str = "",
    note: str = "",
    entered_by: str = "",
) -> PriceFact:
    """State what a model costs from a day on: for everyone, or what one organization is charged.

    A price for a past day is a correction: it binds requests from now on, and earlier ones once they
    are re-rated. An alias is stored under the model's name.
    """
    price = checked_price(
        provider=provider,
        model=model,
        valid_from=valid_from,
        numbers=numbers,
        region=region,
        tier=tier,
        last_day=last_day,
    )
    fact = PriceFact.objects.create(
        source=source,
        organization=organization,
        provider=provider,
        model=_canonical(provider, model),
        region=region,
        tier=tier,
        valid_from=valid_from,
        valid_until=last_day + timedelta(days=1) if last_day else None,
        version=price.version,
        facts=to_json(price),
        source_url=source_url,
        note=note,
        entered_by=entered_by,
    )
    if organization is not None:
        bump_epoch(organization.pk)
    return fact


def checked_price(
    *,
    provider: str,
    model: str,
    valid_from: date,
    numbers: Numbers,
    region: str = "",
    tier: str = DEFAULT_TIER,
    last_day: date | None = None,
) -> Price:
    """What `state_price` would state; raises InvalidPrice."""
    name = _checked_name(provider, model, region, tier)
    _check_days(valid_from, last_day)
    return _price(name, valid_from, numbers, region=region, tier=tier)


@transaction.atomic
def take_price_back(*, fact: PriceFact, note: str = "", entered_by: str = "") -> PriceFact:
    """Take back what was stated for this day: what lies under it holds again."""
    if fact.source == PriceFact.Source.SHIPPED:
        raise InvalidPrice("A price that ships cannot be taken back: state another one.", field="source")
    taken_back = PriceFact.objects.create(
        source=fact.source,
        organization=fact.organization,
        provider=fact.provider,
        model=fact.model,
        region=fact.region,
        tier=fact.tier,
        valid_from=fact.valid_from,
        note=note,
        entered_by=entered_by,
    )
    if fact.organization_id is not None:
        bump_epoch(fact.organization_id)
    return taken_back


@transaction.atomic
def set_markup(
    *,
    provider: str,
    multiplier: Decimal,
    fee_usd: Decimal,
    valid_from: date,
    note: str = "",
    entered_by: str = "",
) -> Markup:
    """State what is charged for a provider's cost from a day on; "" is every provider without its own.

    A multiplier of 1 without a fee ends a markup.
    """
    multiplier_ppm, fee_pico = checked_markup(
        provider=provider, multiplier=multiplier, fee_usd=fee_usd, valid_from=valid_from
    )
    return Markup.objects.create(
        provider=provider,
        multiplier_ppm=multiplier_ppm,
        fee_pico=fee_pico,
        valid_from=valid_from,
        note=note,
        entered_by=entered_by,
    )


def checked_markup(
    *, provider: str, multiplier: Decimal, fee_usd: Decimal, valid_from: date
) -> tuple[int, int]:
    """Multiplier and fee as `set_markup` would keep them; raises InvalidPrice."""
    if provider:
        _check_provider(provider)
    _check_days(valid_from, None)
    return (
        _whole("multiplier", multiplier, PAR_PPM, LEAST_MULTIPLIER, MOST_MULTIPLIER),
        _whole("fee_usd", fee_usd, PICO_PER_USD, Decimal(0), MOST_FEE_USD),
    )


@transaction.atomic
def set_ceiling(
    *,
    organization: Organization,
    input_usd_per_million: Decimal | None,
    output_usd_per_million: Decimal | None,
) -> None:
    """Let models without a price cost this much at most; None for both refuses them again."""
    stated = {
        "input_usd_per_million": input_usd_per_million,
        "output_usd_per_million": output_usd_per_million,
    }
    if all(amount_usd is None for amount_usd in stated.values()):
        PriceCeiling.objects.filter(organization=organization).delete()
    else:
        checked = {name: _checked_ceiling(name, amount_usd) for name, amount_usd in stated.items()}
        PriceCeiling.objects.update_or_create(organization=organization, defaults=checked)
    bump_epoch(organization.pk)


@transaction.atomic
def register_shipped_prices(*, book: PriceBook) -> int:
    """Keep the prices that ship with this version as rows, each once; gives how many were new.

    So a version outlives the file that it stood in, and the database knows since when.
    """
    shipped = {
        price.version: (listing, dated, price)
        for listing in book.listings()
        for dated in listing.prices
        for price in dated.variants
    }
    known = PriceFact.objects.filter(version__in=shipped, source=PriceFact.Source.SHIPPED)
    unknown = shipped.keys() - set(known.values_list("version", flat=True))
    rows = [
        PriceFact(
            source=PriceFact.Source.SHIPPED,
            provider=listing.provider,
            model=listing.model,
            region=price.region,
            tier=price.tier,
            valid_from=dated.starts_on,
            valid_until=dated.ends_on,
            version=price.version,
            facts=to_json(price),
            source_url=dated.source_url,
            note=f"checked {dated.checked.isoformat()}",
        )
        for version, (listing, dated, price) in shipped.items()
        if version in unknown
    ]
    PriceFact.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _checked_name(provider: str, model: str, region: str, tier: str) -> str:
    _check_provider(provider)
    if not model or len(model) > MAX_MODEL_CHARACTERS or not model.isprintable() or " " in model:
        raise InvalidPrice(
            f"model must have between 1 and {MAX_MODEL_CHARACTERS} printable characters and no spaces,"
            f" got {model[:50]!r}",
            field="model",
        )
    if region and (len(region) > MAX_REGION_CHARACTERS or not _REGION.fullmatch(region) or region in TIERS):
        raise InvalidPrice(
            f"region must be lower-case letters, digits and dashes, {MAX_REGION_CHARACTERS} at most, and no"
            f" service tier, got {region[:50]!r}",
            field="region",
        )
    if tier not in TIERS:
        raise InvalidPrice(f"tier must be one of {', '.join(TIERS)}, got {tier[:50]!r}", field="tier")
    return name_of(provider, _canonical(provider, model), region=region, tier=tier)


def _check_provider(provider: str) -> None:
    if len(provider) > MAX_PROVIDER_CHARACTERS or not _PROVIDER.fullmatch(provider):
        raise InvalidPrice(
            f"provider must be lower-case letters, digits and dashes, {MAX_PROVIDER_CHARACTERS} at most,"
            f" got {provider[:80]!r}",
            field="provider",
        )


def _canonical(provider: str, model: str) -> str:
    listing = load_price_book().listing(provider, model)
    return listing.model if listing else model


def _check_days(valid_from: date, last_day: date | None) -> None:
    for name, day in (("valid_from", valid_from), ("last_day", last_day)):
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            raise InvalidPrice(f"{name} must be between {FIRST_DAY} and {LAST_DAY}, got {day}", field=name)
    if last_day is not None and last_day < valid_from:
        raise InvalidPrice(
            f"last_day must not be before valid_from, {valid_from}, got {last_day}", field="last_day"
        )


def _price(name: str, valid_from: date, numbers: Numbers, *, region: str, tier: str) -> Price:
    if numbers.is_free and (numbers.usd_per_million or numbers.above):
        raise InvalidPrice("a free price has no rates", field="is_free")
    rates = FREE if numbers.is_free else rates_of(numbers.usd_per_million)
    above = _long_contexts(numbers.above)
    check_long_contexts(rates, above)
    extra = {REQUEST_FIELD: numbers.usd_per_request, SEARCH_FIELD: numbers.usd_per_thousand_searches}
    pico = {name: rate_pico(name, amount_usd) for name, amount_usd in extra.items() if amount_usd is not None}
    return price_of(
        name=name,
        valid_from=valid_from,
        rates=rates,
        per_request_pico=pico.get(REQUEST_FIELD),
        per_search_pico=pico.get(SEARCH_FIELD),
        long_contexts=above,
        region=region,
        tier=tier,
    )


def _long_contexts(above: Mapping[int, Mapping[str, Decimal]]) -> tuple[LongContext, ...]:
    tiers: Sequence[int] = sorted(above)
    return tuple(
        LongContext(above_prompt_tokens=prompt_tokens, rates=rates_of(above[prompt_tokens]))
        for prompt_tokens in tiers
    )


def _checked_ceiling(name: str, amount_usd: Decimal | None) -> Decimal:
    if amount_usd is None:
        raise InvalidPrice(f"{name} is missing: a ceiling has both sides", field=name)
    smallest = Decimal("0.000001")
    is_finite = amount_usd.is_finite()
    if not is_finite or not smallest <= amount_usd <= MAX_USD_PER_MILLION or amount_usd % smallest:
        raise InvalidPrice(
            f"{name} must be between ${smallest} and ${MAX_USD_PER_MILLION:,} per million tokens, with at"
            f" most six decimals, got {amount_usd}",
            field=name,
        )
    return amount_usd


def _whole(name: str, amount: Decimal, scale: int, least: Decimal, most: Decimal) -> int:
    """The amount as an integer of `scale`ths."""
    is_within = amount.is_finite() and least <= amount <= most
    if not is_within or (amount * scale) % 1:
        raise InvalidPrice(
            f"{name} must be between {least} and {most} with at most {len(str(scale)) - 1} decimals,"
            f" got {amount}",
            field=name,
        )
    return int(amount * scale)
