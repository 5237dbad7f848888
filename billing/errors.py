"""What can go wrong with money. Messages tell the reader what to change."""


class BillingError(Exception):
    """The base of everything that this room raises. `field` names what is wrong, where one thing is."""

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class UnknownPrice(BillingError):
    """A model, a date or a unit has no price: the request cannot be priced, and is never free for that."""


class PriceBookError(BillingError):
    """A price file says something that cannot be right; the message names the file and the line."""


class InvalidPrice(BillingError):
    """A price, a markup or a ceiling cannot be like this; `field` names the value that is wrong."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class RerateConflict(BillingError):
    """Two re-ratings posted the same events at once; the later one has posted nothing of its batch."""


class InvalidAmount(BillingError):
    """An amount of money is of the wrong sign, too fine or too large."""


class UnbalancedTransfer(BillingError):
    """The legs of a transfer do not sum to zero, or there are fewer than two."""


class InvalidBudget(BillingError):
    """A budget's scope, window, time zone or amount cannot be used."""


class PaymentsOff(BillingError):
    """This installation takes no payments."""


class PromotionRefused(BillingError):
    """A promotion code gives this organization nothing; unknown and foreign ones read alike."""


class PromotionUsed(PromotionRefused):
    """The organization has had what this code gives."""


class RefundTooLarge(BillingError):
    """A refund is more than was paid, or than the credit that is left."""


class RefundUnderWay(BillingError):
    """A refund of the payment was asked for, and what became of it is not known yet."""


class CreditUnknown(BillingError):
    """What is free of the credit cannot be told while Redis is away."""


class RefillRefused(BillingError):
    """An automatic refill cannot be switched on like this; the message says what is missing."""


class MalformedEvent(BillingError):
    """An entry of the usage stream cannot be a usage event."""


class AuditTooSlow(BillingError):
    """The audit was given up because it took longer than it may."""
