"""Anthropic's cost report and messages usage report, by day. Pure.

Costs, grouped by description: https://platform.claude.com/docs/en/api/admin/cost_report
Usage, grouped by model: https://platform.claude.com/docs/en/build-with-claude/usage-cost-api
(checked 2026-11-27)
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from billing.money import ZERO_USD
from billing.reconciliation.json_pages import Node, buckets_by_day
from billing.reconciliation.shapes import Export, ExportLine, checked_currency, checked_name, exact_usd

COSTS_SOURCE, USAGE_SOURCE = "anthropic costs", "anthropic usage"
# Amounts are decimal texts in cents: "123.45" is $1.2345.
CENTS_PER_USD = 100


def read_costs(pages: Sequence[Node]) -> Export:
    """Dollars by model and kind of token. Raises ExportRefused. Rows of several workspaces are summed."""
    amounts: defaultdict[tuple[date, str, str], Decimal] = defaultdict(lambda: ZERO_USD)
    places: dict[tuple[date, str, str], str] = {}
    days = set()
    for day, bucket in buckets_by_day(pages, start="starting_at", end="ending_at"):
        days.add(day)
        for result in bucket.nodes("results"):
            checked_currency(result.text("currency"), where=result.where, field="currency")
            key = (day, *_model_and_item(result))
            amount_usd = result.amount("amount") / CENTS_PER_USD
            amounts[key] += exact_usd(amount_usd, where=result.where, field="amount")
            places.setdefault(key, result.where)
    lines = [
        ExportLine(day=day, model=model, item=item, amount_usd=amount_usd, where=places[day, model, item])
        for (day, model, item), amount_usd in amounts.items()
    ]
    return Export(COSTS_SOURCE, frozenset(days), tuple(lines))


def read_usage(pages: Sequence[Node]) -> Export:
    """Tokens by model. Raises ExportRefused. Anthropic counts no requests."""
    counts: defaultdict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    places: dict[tuple[date, str], str] = {}
    days = set()
    for day, bucket in buckets_by_day(pages, start="starting_at", end="ending_at"):
        days.add(day)
        for result in bucket.nodes("results"):
            if result.values.get("model") is None:
                result.refuse("model", "the model's name: ask for group_by[]=model")
            model = checked_name(result.text("model"), where=result.where, field="model")
            found = counts[day, model]
            counts[day, model] = [old + new for old, new in zip(found, _counts(result), strict=True)]
            places.setdefault((day, model), result.where)
    lines = [
        ExportLine(
            day=day,
            model=model,
            input_tokens=fresh,
            cached_input_tokens=read,
            cache_write_tokens=written,
            output_tokens=output,
            where=places[day, model],
        )
        for (day, model), (fresh, read, written, output) in counts.items()
    ]
    return Export(USAGE_SOURCE, frozenset(days), tuple(lines))


def _counts(result: Node) -> tuple[int, int, int, int]:
    written = 0
    if result.values.get("cache_creation") is not None:
        creation = result.node("cache_creation")
        written = creation.count("ephemeral_5m_input_tokens") + creation.count("ephemeral_1h_input_tokens")
    return (
        result.count("uncached_input_tokens"),
        result.count("cache_read_input_tokens"),
        written,
        result.count("output_tokens"),
    )


def _model_and_item(result: Node) -> tuple[str, str]:
    """The model with the kind of token; what is of no model (searches, code execution) by its description."""
    description = result.values.get("description")
    if description is None:
        result.refuse("description", "the line's name: ask for group_by[]=description")
    model = result.values.get("model")
    kinds = (result.values.get(name) for name in ("token_type", "context_window", "service_tier"))
    item = " ".join(str(kind) for kind in kinds if kind) if model else str(description)
    return (
        checked_name(str(model or ""), where=result.where, field="model"),
        checked_name(item or str(description), where=result.where, field="description"),
    )
