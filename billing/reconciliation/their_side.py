"""The provider's side of a day: the latest statements of it, by the common name of each model."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from billing.errors import UnknownPrice
from billing.models import ProviderStatement, ProviderStatementLine
from billing.money import ZERO_USD, nano_to_usd
from billing.pricing import cost_of
from billing.reconciliation.names import ModelNames
from billing.reconciliation.our_side import Account, Counts
from billing.reconciliation.shapes import COUNTS
from billing.usage import TokenUsage

Kind = ProviderStatement.Kind


@dataclass(frozen=True, slots=True)
class TheirModel:
    """One model on the provider's bill; `is_priced_by_us` if they told tokens alone."""

    amount_usd: Decimal = ZERO_USD
    counts: Counts = field(default_factory=Counts)
    is_known: bool = True
    is_priced_by_us: bool = False

    def plus(self, other: "TheirModel") -> "TheirModel":
        return TheirModel(
            self.amount_usd + other.amount_usd,
            self.counts.plus(other.counts),
            self.is_known and other.is_known,
            self.is_priced_by_us or other.is_priced_by_us,
        )


def statement_of(account: Account, day: date, kind: Kind) -> ProviderStatement | None:
    """The statement of this kind that counts: the latest."""
    statements = account.rows(ProviderStatement.objects.filter(day=day, kind=kind))
    return statements.order_by("-pk").first()


def has_statement(account: Account, day: date) -> bool:
    return any(statement_of(account, day, kind) for kind in Kind)


def their_models(account: Account, day: date, names: ModelNames) -> dict[str, TheirModel]:
    """What the provider says of this day, by the common name ("" for what is of no model)."""
    costs = _models(_lines(statement_of(account, day, Kind.COST)), account, names)
    usage = _models(_lines(statement_of(account, day, Kind.USAGE)), account, names)
    if statement_of(account, day, Kind.COST) is None:
        return {name: _priced(model, account, name, day, names) for name, model in usage.items()}
    return {
        name: costs.get(name, TheirModel()).plus(usage.get(name, TheirModel())) for name in {*costs, *usage}
    }


def _lines(statement: ProviderStatement | None) -> Iterable[ProviderStatementLine]:
    return statement.lines.all() if statement else ()


def _models(
    lines: Iterable[ProviderStatementLine], account: Account, names: ModelNames
) -> dict[str, TheirModel]:
    models: dict[str, TheirModel] = {}
    for line in lines:
        known = names.of_theirs(account.provider, line.model) if line.model else ""
        name = line.model if known is None else known
        counts = Counts(**{count: getattr(line, count) for count in COUNTS})
        told = TheirModel(line.amount_usd or ZERO_USD, counts, is_known=known is not None)
        models[name] = models.get(name, TheirModel()).plus(told)
    return models


def _priced(model: TheirModel, account: Account, name: str, day: date, names: ModelNames) -> TheirModel:
    """Their tokens at our price of the day; nothing where we have none."""
    counts = model.counts
    usage = TokenUsage(
        input=counts.input_tokens or 0,
        cached_input=counts.cached_input_tokens or 0,
        cache_write=counts.cache_write_tokens or 0,
        output=counts.output_tokens or 0,
    )
    listing = names.book.listing(account.provider, name)
    try:
        # A day's sum says nothing of single prompts' lengths: their context tier is left out.
        amount_nano = (
            cost_of(usage, replace(listing.price_at(day), long_contexts=(), per_request_pico=0)).total_nano
            if listing
            else 0
        )
    except UnknownPrice:
        amount_nano = 0
    return TheirModel(nano_to_usd(amount_nano), counts, model.is_known, is_priced_by_us=True)
