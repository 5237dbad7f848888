"""Price versions: what a version string names, for ever.

Prices that owners declared and ceilings say their numbers themselves; others are found in the book
that ships, else among the rows, which keep every price that was ever known here.
"""

from billing.errors import UnknownPrice
from billing.models import PriceFact
from billing.price_book import PriceBook
from billing.price_facts import from_json
from billing.price_list import CEILING, ceiling_of
from billing.pricing import Price
from billing.terms import Terms, limit_nano_of, split_version

DECLARED = "declared"


class PriceVersions:
    """Resolves versions, remembering those it has read. Reads the database where the book has none."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._known: dict[str, Price] = {}

    def terms(self, version: str) -> Terms:
        """The terms that an event was billed at. Raises UnknownPrice if nobody knows the version."""
        price_version, own_version, multiplier_ppm, fee_pico = split_version(version)
        return Terms(
            price=self.price(price_version),
            own_price=self.price(own_version) if own_version else None,
            multiplier_ppm=multiplier_ppm,
            fee_pico=fee_pico,
            limit_nano=limit_nano_of(version),
        )

    def price(self, version: str) -> Price:
        """The price of this version. Raises UnknownPrice."""
        if version not in self._known:
            self._known[version] = self._resolved(version)
        return self._known[version]

    def _resolved(self, version: str) -> Price:
        kind, _, rest = version.partition(":")
        if kind in (DECLARED, CEILING):
            return _stated_in(kind, rest, version)
        try:
            return self._book.price_of_version(version)
        except UnknownPrice:
            row = PriceFact.objects.filter(version=version, facts__isnull=False).order_by("pk").first()
            if row is None or row.facts is None:
                raise
            return from_json(row.facts, version=version, region=row.region, tier=row.tier)


def _stated_in(kind: str, text: str, version: str) -> Price:
    """The price of `<provider>/<model>@<input>/<output>`, in pico-dollars per token."""
    _, _, rates = text.rpartition("@")
    input_pico, _, output_pico = rates.partition("/")
    if not (input_pico.isdecimal() and output_pico.isdecimal()):
        raise UnknownPrice(f"The price version {version!r} says no rates.")
    if kind == CEILING:
        return ceiling_of(version, int(input_pico), int(output_pico))
    return Price(version=version, input=int(input_pico), output=int(output_pico))
