"""Selectors in their normal form: what is printed reads as the same tree."""

from decimal import Decimal

from gateway.routing.tree import (
    NO_OPTIONS,
    Automatic,
    Branch,
    ByMetric,
    Chain,
    Criteria,
    Failover,
    Named,
    Options,
    Race,
    Selector,
    Single,
    Weighted,
)


def print_selector(selector: Selector) -> str:
    """The shortest text with full names that reads as this selector."""
    match selector:
        case Chain(steps=steps):
            return "->".join(map(print_selector, steps))
        case Single(branch=branch):
            return _branch(branch)
        case Failover(branches=branches):
            return "|".join(map(_branch, branches))
        case Weighted(branches=branches):
            return "^".join(map(_branch, branches))
        case Race(branches=branches):
            return "!".join(map(_branch, branches))
        case Automatic(options=options):
            return "auto" + _options(options)
        case Named(text=text, options=options):
            return text + _options(options)
        case ByMetric():
            router = f"router_{selector.router}" if selector.router else "router"
            model = router if selector.model is None else selector.model
            return f"{model}@{print_criteria(selector.criteria)}{_options(selector.options)}"


def print_criteria(criteria: Criteria) -> str:
    """Criteria joined by `|`: orders, thresholds, objective, search space."""
    orders = [f"{'highest' if s.is_highest_first else 'lowest'}-{s.metric}" for s in criteria.sorts]
    thresholds = [f"{one.metric}{one.operator}{_decimal(one.bound)}" for one in criteria.thresholds]
    if orders and thresholds and criteria.sorts[-1].metric == criteria.thresholds[0].metric:
        # One criterion, so that it may stand where no list of them may.
        order = orders.pop().removesuffix(criteria.sorts[-1].metric)
        orders.append(order + thresholds.pop(0))
    terms = [f"{term.metric}:{_decimal(term.factor)}" for term in criteria.objective]
    searches = [
        f"{'skip_' if search.is_skipped else ''}{search.kind}:{','.join(search.names)}"
        for search in criteria.searches
    ]
    return "|".join(orders + thresholds + terms + searches)


def _branch(branch: Branch) -> str:
    notes = []
    if branch.max_context is not None:
        notes.append(f"max_context={branch.max_context}")
    if branch.weight != 1:
        notes.append(f"weight={branch.weight}")
    if branch.is_first:
        notes.append("first")
    if branch.is_thinker:
        notes.append("thinker")
    if branch.handicap_seconds:
        notes.append(f"handicap={_number(branch.handicap_seconds)}")
    if branch.ttft_timeout_seconds:
        notes.append(f"ttft_timeout={_number(branch.ttft_timeout_seconds)}")
    return (f"[{','.join(notes)}]" if notes else "") + print_selector(branch.selector)


def _options(options: Options) -> str:
    if options == NO_OPTIONS:
        return ""
    given = ((name, getattr(options, name)) for name in Options.__struct_fields__)
    return "?" + "&".join(f"{name}={_value(value)}" for name, value in given if value is not None)


def _value(value: float | int | str) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _decimal(value: Decimal) -> str:
    return format(value.normalize(), "f")
