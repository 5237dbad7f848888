"""The names of money's counters: in Redis behind the shard's prefix, and in usage events. Pure."""

from uuid import UUID

from billing.budgets import Period


def wallet_counter(organization_id: UUID) -> str:
    """The wallet's name in usage events and in Redis."""
    return f"wallet:{organization_id.hex}"


def budget_counter(budget_id: UUID, period: Period, subject: str = "") -> str:
    """The name of one budget in one period; the period's number is part of it, so nothing is ever reset.

    `subject` is what `gateway.label_budgets` tells the counters of a budget for each apart by.
    """
    return f"{budget_id.hex}{subject}:{period.number}"


def rolling_counter(budget_id: UUID, subject: str = "") -> str:
    """The name of one budget with a rolling window, whose buckets are fields of the counter."""
    return f"{budget_id.hex}{subject}:rolling"


def budget_id_of(key: str) -> str:
    """Whose counter lies there: the budget's id, or the organization's for the wallet."""
    return key.partition("}:money:")[2].removeprefix("wallet:")[:32]
