"""What people state about prices: kept for ever, refused with field and range when it cannot be right."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import OrganizationEpoch
from billing.errors import InvalidPrice, UnknownPrice
from billing.models import Markup, PriceCeiling, PriceFact
from billing.price_book import load_price_book, read_price_book
from billing.price_facts import Numbers
from billing.price_services import (
    register_shipped_prices,
    set_ceiling,
    set_markup,
    state_price,
    take_price_back,
)
from billing.price_versions import PriceVersions
from tests.billing.test_price_book import GOOD

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 1)
ONE = Decimal(1)
RATES = Numbers(usd_per_million={"input": Decimal(3), "output": Decimal("4.5")})


def state(**changes):
    return state_price(
        **{"provider": "acme", "model": "small", "valid_from": DAY, "numbers": RATES, **changes}
    )


def epoch_of(organization):
    return OrganizationEpoch.objects.get(organization=organization).epoch


def test_a_stated_price_is_kept_with_its_days_numbers_and_version():
    fact = state(last_day=date(2026, 11, 30), note="negotiated", entered_by="ops@example.com")
    fact.refresh_from_db()

    assert (fact.source, fact.organization, fact.tier, fact.region) == ("operator", None, "default", "")
    assert (fact.valid_from, fact.valid_until) == (DAY, date(2026, 12, 1))
    assert fact.facts["rates"] == {"input": 3_000_000, "output": 4_500_000}
    assert fact.version.startswith("acme/small@2026-11-01.")
    assert fact.known_from is not None


def test_an_alias_is_stored_under_the_models_name():
    assert state(provider="openai", model="gpt-4o-2024-08-06").model == "gpt-4o"


def test_an_organizations_price_moves_its_epoch_and_everyones_does_not(alice):
    before = epoch_of(alice.organization)

    state()
    assert epoch_of(alice.organization) == before
    fact = state(organization=alice.organization)
    assert epoch_of(alice.organization) > before
    after = epoch_of(alice.organization)
    take_price_back(fact=fact)
    assert epoch_of(alice.organization) > after


def test_every_version_resolves_for_ever_whatever_is_stated_later(alice):
    versions = PriceVersions(load_price_book())
    first = state()
    state(numbers=Numbers(usd_per_million={"input": Decimal(5), "output": Decimal(6)}))
    take_price_back(fact=first)
    own = state(
        organization=alice.organization,
        numbers=Numbers(usd_per_million={"input": Decimal(1), "output": Decimal(2)}),
    )

    assert versions.price(first.version).input == 3_000_000
    marked_up = versions.terms(f"{first.version} x1.05 +0.002")
    assert (marked_up.price.input, marked_up.multiplier_ppm, marked_up.fee_pico) == (
        3_000_000, 1_050_000, 2_000_000_000,
    )  # fmt: skip
    sold = versions.terms(f"{first.version} charged {own.version}")
    assert (sold.price.input, sold.own_price.input) == (3_000_000, 1_000_000)
    assert versions.price("declared:my/model@7/9").output == 9
    assert versions.price("ceiling:my/model@7/9").is_ceiling
    for unknown in ("acme/small@2026-11-01.00000000", "declared:1", "ceiling:my/model", "", "x"):
        with pytest.raises(UnknownPrice):
            versions.terms(unknown)


def test_a_price_that_left_the_files_still_resolves(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD)
    before = read_price_book([path])
    assert register_shipped_prices(book=before) == 2
    assert register_shipped_prices(book=before) == 0
    path.write_text(GOOD.replace("input: 1.00", "input: 1.10"))
    after = read_price_book([path])

    assert register_shipped_prices(book=after) == 1
    gone = before.listing("acme", "small").prices[0].price
    with pytest.raises(UnknownPrice):
        after.price_of_version(gone.version)
    assert PriceVersions(after).price(gone.version).input == 1_000_000
    rows = PriceFact.objects.filter(provider="acme", valid_from=date(2026, 1, 1)).order_by("id")
    assert [row.facts["rates"]["input"] for row in rows] == [1_000_000, 1_100_000]


def test_all_that_ships_can_be_kept():
    register_shipped_prices(book=load_price_book())

    tiered = PriceFact.objects.filter(source="shipped", provider="fake", model="tiered")
    assert {row.tier for row in tiered} == {"default", "flex", "priority"}


def test_a_shipped_price_cannot_be_taken_back():
    register_shipped_prices(book=load_price_book())

    with pytest.raises(InvalidPrice, match="cannot be taken back"):
        take_price_back(fact=PriceFact.objects.filter(source="shipped").first())


def test_long_contexts_and_free_prices_are_stated_too():
    tiered = state(
        numbers=Numbers(
            usd_per_million=RATES.usd_per_million,
            above={200_000: {"input": Decimal(6), "output": Decimal(9)}},
            usd_per_thousand_searches=Decimal(10),
        )
    )
    free = state(model="gift", numbers=Numbers(is_free=True))

    assert tiered.facts["above"] == [
        {"prompt_tokens": 200_000, "rates": {"input": 6_000_000, "output": 9_000_000}}
    ]
    assert tiered.facts["per_search"] == 10_000_000_000
    assert PriceVersions(load_price_book()).price(free.version).rate_of("reasoning") == 0


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"numbers": Numbers(usd_per_million={"input": Decimal(-1), "output": ONE})}, "input", "negative"),
        ({"numbers": Numbers(usd_per_million={"input": Decimal(0), "output": ONE})}, "input", "free"),
        ({"numbers": Numbers(usd_per_million={"input": Decimal(1)})}, "output", "output is missing"),
        (
            {"numbers": Numbers(usd_per_million={"input": Decimal("100000.01"), "output": Decimal(1)})},
            "input",
            "nor above 100,000 US dollars, got 100000.01",
        ),
        (
            {"numbers": Numbers(usd_per_million={"input": Decimal("0.0000001"), "output": Decimal(1)})},
            "input",
            "nor finer than a pico-dollar",
        ),
        ({"numbers": Numbers(usd_per_million={"input": Decimal("NaN"), "output": ONE})}, "input", "number"),
        ({"numbers": Numbers(usd_per_million={"input": Decimal("Infinity"), "output": ONE})}, "input", "num"),
        ({"numbers": Numbers(usd_per_million={**RATES.usd_per_million, "tokens": ONE})}, "tokens", "unknown"),
        ({"numbers": Numbers(usd_per_million=RATES.usd_per_million, is_free=True)}, "is_free", "no rates"),
        (
            {"numbers": Numbers(usd_per_million=RATES.usd_per_million, usd_per_request=Decimal(1001))},
            "usd_per_request",
            "nor above 1,000 US dollars",
        ),
        (
            {"numbers": Numbers(usd_per_million=RATES.usd_per_million, above={0: RATES.usd_per_million})},
            "above",
            "prompt_tokens must be between 1 and 100000000",
        ),
        ({"tier": "cheap"}, "tier", "tier must be one of default, flex, priority, batch"),
        ({"region": "US East"}, "region", "region must be lower-case letters"),
        ({"region": "flex"}, "region", "no service tier"),
        ({"provider": "Acme!"}, "provider", "provider must be lower-case letters"),
        ({"model": "two words"}, "model", "no spaces"),
        ({"model": "m" * 201}, "model", "between 1 and 200"),
        ({"valid_from": date(1999, 12, 31)}, "valid_from", "between 2000-01-01 and 2199-12-31"),
        ({"last_day": date(2026, 10, 31)}, "last_day", "must not be before valid_from"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_with_field_and_range(changes, field, message):
    with pytest.raises(InvalidPrice, match=message) as refusal:
        state(**changes)

    assert refusal.value.field == field
    assert not PriceFact.objects.filter(provider="acme").exists()


def test_a_markup_is_kept_in_whole_millionths_and_pico_dollars():
    markup = set_markup(
        provider="", multiplier=Decimal("1.05"), fee_usd=Decimal("0.002"), valid_from=DAY, note="margin"
    )

    assert (markup.multiplier_ppm, markup.fee_pico) == (1_050_000, 2_000_000_000)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"multiplier": Decimal(0)}, "multiplier", "between 0.01 and 100"),
        ({"multiplier": Decimal("100.000001")}, "multiplier", "between 0.01 and 100"),
        ({"multiplier": Decimal("1.0000001")}, "multiplier", "at most 6 decimals"),
        ({"multiplier": Decimal("NaN")}, "multiplier", "got NaN"),
        ({"fee_usd": Decimal("-0.01")}, "fee_usd", "between 0 and 100"),
        ({"fee_usd": Decimal("1e-13")}, "fee_usd", "at most 12 decimals"),
        ({"provider": "A"}, "provider", "lower-case letters"),
    ],
)
def test_a_markup_out_of_range_is_refused_with_field_and_range(changes, field, message):
    stated = {"provider": "acme", "multiplier": Decimal(1), "fee_usd": Decimal(0), "valid_from": DAY}
    with pytest.raises(InvalidPrice, match=message) as refusal:
        set_markup(**stated | changes)

    assert refusal.value.field == field
    assert not Markup.objects.exists()


def test_a_ceiling_is_set_replaced_and_lifted(alice):
    for usd in (Decimal(20), Decimal("0.000001"), Decimal(100_000)):
        set_ceiling(organization=alice.organization, input_usd_per_million=usd, output_usd_per_million=usd)
        assert PriceCeiling.objects.get(organization=alice.organization).input_usd_per_million == usd
    before = epoch_of(alice.organization)
    set_ceiling(organization=alice.organization, input_usd_per_million=None, output_usd_per_million=None)

    assert not PriceCeiling.objects.exists()
    assert epoch_of(alice.organization) > before


@pytest.mark.parametrize(
    ("usd", "message"),
    [
        (Decimal(0), "between"),
        (Decimal(-1), "between"),
        (Decimal("0.0000001"), "between"),
        (Decimal("1.0000001"), "at most six decimals"),
        (Decimal("100000.1"), "between"),
        (Decimal("NaN"), "between"),
        (None, "a ceiling has both sides"),
    ],
)
def test_a_ceiling_out_of_range_is_refused(alice, usd, message):
    with pytest.raises(InvalidPrice, match=message) as refusal:
        set_ceiling(
            organization=alice.organization, input_usd_per_million=Decimal(1), output_usd_per_million=usd
        )

    assert refusal.value.field == "output_usd_per_million"


@pytest.mark.parametrize("table", ["billing_pricefact", "billing_markup"])
@pytest.mark.parametrize("change", ["UPDATE {} SET note = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_nothing_stated_is_ever_changed(table, change):
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))
