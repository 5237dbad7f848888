"""OpenAI's organization costs and completions usage, by day. Pure.

Costs, grouped by line item: https://platform.openai.com/docs/api-reference/usage/costs
Usage, grouped by model: https://platform.openai.com/docs/api-reference/usage/completions
(checked 2026-11-27)
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from billing.money import ZERO_USD
from billing.reconciliation.json_pages import Node, buckets_by_day
from billing.reconciliation.shapes import Export, ExportLine, checked_currency, checked_name, exact_usd

COSTS_SOURCE, USAGE_SOURCE = "openai costs", "openai usage"
COST_OBJECT = "organization.costs.result"
USAGE_OBJECT = "organization.usage.completions.result"


def read_costs(pages: Sequence[Node]) -> Export:
    """Dollars by model and line item. Raises ExportRefused.

    A line item is `<model>, <what>`; one without a comma is a service of no model. The same line
    of several projects is summed.
    """
    amounts: defaultdict[tuple[date, str, str], Decimal] = defaultdict(lambda: ZERO_USD)
    places: dict[tuple[date, str, str], str] = {}
    days = set()
    for day, bucket in buckets_by_day(pages, start="start_time", end="end_time"):
        days.add(day)
        for result in bucket.nodes("results"):
            if result.values.get("line_item") is None:
                result.refuse("line_item", "the line's name: ask for group_by=line_item")
            key = (day, *_model_and_item(result))
            amount = result.node("amount")
            checked_currency(amount.text("currency"), where=amount.where, field="currency")
            amounts[key] += exact_usd(amount.amount("value"), where=amount.where, field="value")
            places.setdefault(key, result.where)
    lines = [
        ExportLine(day=day, model=model, item=item, amount_usd=amount_usd, where=places[day, model, item])
        for (day, model, item), amount_usd in amounts.items()
    ]
    return Export(COSTS_SOURCE, frozenset(days), tuple(lines))


def read_usage(pages: Sequence[Node]) -> Export:
    """Tokens by model. Raises ExportRefused.

    OpenAI's input tokens include the cached ones; ours do not.
    """
    lines: dict[tuple[date, str], ExportLine] = {}
    days = set()
    for day, bucket in buckets_by_day(pages, start="start_time", end="end_time"):
        days.add(day)
        for result in bucket.nodes("results"):
            if result.values.get("model") is None:
                result.refuse("model", "the model's name: ask for group_by=model")
            line = _usage_line(day, result)
            lines[day, line.model] = _sum(lines.get((day, line.model)), line)
    return Export(USAGE_SOURCE, frozenset(days), tuple(lines.values()))


def _usage_line(day: date, result: Node) -> ExportLine:
    input_tokens, cached = result.count("input_tokens"), result.count("input_cached_tokens")
    if cached > input_tokens:
        result.refuse("input_cached_tokens", f"at most input_tokens, {input_tokens}")
    return ExportLine(
        day=day,
        model=checked_name(result.text("model"), where=result.where, field="model"),
        requests=result.count("num_model_requests"),
        input_tokens=input_tokens - cached,
        cached_input_tokens=cached,
        cache_write_tokens=0,
        output_tokens=result.count("output_tokens"),
        where=result.where,
    )


def _sum(first: ExportLine | None, second: ExportLine) -> ExportLine:
    """Several rows of a model (by tier, project or key) as one."""
    if first is None:
        return second
    return ExportLine(
        day=first.day,
        model=first.model,
        requests=(first.requests or 0) + (second.requests or 0),
        input_tokens=(first.input_tokens or 0) + (second.input_tokens or 0),
        cached_input_tokens=(first.cached_input_tokens or 0) + (second.cached_input_tokens or 0),
        cache_write_tokens=0,
        output_tokens=(first.output_tokens or 0) + (second.output_tokens or 0),
        where=first.where,
    )


def _model_and_item(result: Node) -> tuple[str, str]:
    text = checked_name(result.text("line_item"), where=result.where, field="line_item")
    model, comma, item = text.rpartition(", ")
    return (model.strip(), item.strip()) if comma else ("", text)
