"""Who may set which budgets: one rule for the pages and the management API."""

from accounts.permissions import Action
from billing.models import Budget


def right_to_set(scope: str) -> Action:
    """What it takes to make, change or delete a budget of this scope."""
    return Action.MANAGE_BILLING if scope == Budget.Scope.ORGANIZATION else Action.MANAGE_BUDGETS
