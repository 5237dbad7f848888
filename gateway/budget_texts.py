"""Budgets in words: what they allow, when they renew, and whom they bind. Pure."""

from billing.models import Budget
from billing.money import format_usd

CALENDAR_TEXTS = {
    "hour": "every hour, on the hour",
    "day": "every day, from midnight",
    "week": "every week, from Monday",
    "month": "every month, from the 1st",
    "quarter": "every quarter, from the 1st of January, April, July and October",
}
ROLLING_TEXTS = {
    "hour": "in any 60 minutes",
    "day": "in any 24 hours",
    "week": "in any 7 days",
    "month": "in any 30 days",
    "quarter": "in any 90 days",
}


def sentence_of(budget: Budget) -> str:
    """`$50.00 every month, from the 1st, Europe/Berlin`; `$2.00 in any 24 hours`; `$9.00 in total`."""
    amount = format_usd(budget.amount_usd)
    if budget.is_rolling:
        return f"{amount} {ROLLING_TEXTS[budget.window]}"
    if budget.window == Budget.Window.TOTAL:
        return f"{amount} in total, never renewed"
    return f"{amount} {CALENDAR_TEXTS[budget.window]}, {budget.time_zone}"


def window_text(budget: Budget) -> str:
    """`a month`, `in any 24 hours` (rolling), `in total`."""
    return ROLLING_TEXTS[budget.window] if budget.is_rolling else budget.get_window_display()


def alerts_text(budget: Budget) -> str:
    """`at 50, 80 and 100 %`; `none`."""
    percents = [str(percent) for percent in budget.alert_percents]
    if not percents:
        return "none"
    *first, last = percents
    return f"at {', '.join(first)} and {last} %" if first else f"at {last} %"


def whom_text(budget: Budget, *, names: dict[object, str]) -> str:
    """Whom the budget binds; `names` are those of keys and projects by id."""
    kind = budget.get_scope_display()
    if budget.scope == Budget.Scope.ORGANIZATION:
        return "The whole organization"
    if budget.is_each:
        return f"Each {kind.lower()} for itself"
    subject = budget.subject or names.get(budget.scope_id, "deleted")
    return f"{kind} {subject}"
