"""What is refused because money does not cover it: the organization's credit, or a budget.

Which of them it is, and how it stood, is found out in `gateway.refusals`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.money import format_usd, nano_to_usd
from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """How an amount of money stood when it did not cover a request, in nano-dollars.

    `least_left_nano` is what the tightest of all that binds the request has left; -1: unknown.
    """

    left_nano: int
    asked_nano: int
    spent_nano: int
    held_nano: int
    least_left_nano: int = -1

    @property
    def text(self) -> str:
        held = f" ({_usd(self.held_nano)} is held by running requests)" if self.held_nano else ""
        return f"{_usd(self.left_nano)} left{held}"

    def details(self, scope: str) -> dict[str, Any]:
        amounts = {
            "left": self.left_nano,
            "asked": self.asked_nano,
            "spent": self.spent_nano,
            "held": self.held_nano,
        }
        return {"scope": scope, **{f"{name}_usd": f"{nano_to_usd(nano):f}" for name, nano in amounts.items()}}


class OutOfMoney(GatewayError):
    """Nothing left to spend. Clients must not retry by themselves."""

    status, type, should_retry = 402, "billing_error", False

    def __init__(self, message: str, *, shortage: Shortage, details: dict[str, Any]) -> None:
        super().__init__(message, details=details)
        self.shortage = shortage


class InsufficientCredits(OutOfMoney):
    """The organization's credit does not cover the most that this request can cost."""

    code = "insufficient_credits"

    def __init__(self, shortage: Shortage) -> None:
        super().__init__(
            f"Insufficient credits: there is {shortage.text}, and this request may cost up to "
            f"{_usd(shortage.asked_nano)}. Top up, or lower max_completion_tokens.",
            shortage=shortage,
            details=shortage.details("organization"),
        )


class BudgetExceeded(OutOfMoney):
    """A budget of the project, the organization or a label does not cover what this request can cost.

    `title` names the budget; `renews_at` is None when waiting cannot help.
    """

    code = "budget_exceeded"

    def __init__(
        self,
        shortage: Shortage,
        *,
        title: str,
        scope: str,
        window: str,
        renews_at: datetime | None,
        is_rolling: bool = False,
        budget_id: str = "",
        budget_name: str = "",
        subject: str = "",
    ) -> None:
        super().__init__(
            f"{title} has {shortage.text}, and this request may cost up to {_usd(shortage.asked_nano)}."
            f"{_renewal_text(renews_at, is_rolling=is_rolling)}",
            shortage=shortage,
            details={
                **shortage.details(scope),
                "budget_id": budget_id,
                "budget_name": budget_name,
                "subject": subject,
                "window": window,
                "is_rolling": is_rolling,
                "renews_at": renews_at.isoformat(timespec="seconds") if renews_at else None,
            },
        )


class KeyLimitExceeded(BudgetExceeded):
    """The key's own budget does not cover the most that this request can cost."""

    code = "key_limit_exceeded"


class AnswerOutgrewHold(GatewayError):
    """A running answer has used all that was held for it, and its budgets have no more."""

    status, type, should_retry = 402, "billing_error", False
    code, ending = "budget_exceeded", "cut"

    def __init__(self, *, held_nano: int) -> None:
        super().__init__(
            f"The answer ends here: it has used the {_usd(held_nano)} that were held for it, "
            "and what is left of its budgets does not cover more.",
            details={"held_nano": held_nano},
        )


def _usd(nano: int) -> str:
    return format_usd(nano_to_usd(nano))


def _renewal_text(renews_at: datetime | None, *, is_rolling: bool) -> str:
    if renews_at is None:
        return ""
    moment = f"{renews_at:%Y-%m-%d %H:%M %Z}"
    if is_rolling:
        return f" Enough of it is free again at {moment}, if nothing else is spent."
    return f" It renews at {moment}."
