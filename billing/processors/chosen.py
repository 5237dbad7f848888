"""The processor that the setting names. Loaded when first asked for: the SDKs are large."""

from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from billing.errors import PaymentsOff
from billing.processors.base import PaymentProcessor

STRIPE, TEST = "stripe", "test"
_PLACES = {
    STRIPE: "billing.processors.stripe_api.stripe_processor",
    TEST: "billing.processors.built_in_test.test_processor",
}


def are_payments_on() -> bool:
    """Whether this installation takes payments at all."""
    return settings.FAREBOX_PAYMENT_PROCESSOR in _PLACES


def chosen_processor() -> PaymentProcessor:
    """The processor in use. Raises PaymentsOff if there is none."""
    place = _PLACES.get(settings.FAREBOX_PAYMENT_PROCESSOR)
    if place is None:
        raise PaymentsOff("This installation takes no payments; ask its operator for credit.")
    return cast(PaymentProcessor, import_string(place)())
