"""What the gateway's calls of the management API share: how refusals of billing are told."""

from typing import Any

from rest_framework.response import Response

from accounts.api.failures import Refused
from accounts.api.views import ManagementView
from accounts.api.views import Rows as Rows
from billing.errors import BillingError


class GatewayView(ManagementView):
    """A view whose services may raise BillingError."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, BillingError):
            exc = Refused(str(exc), param=exc.field or None)
        answer: Any = super().handle_exception(exc)
        return answer  # type: ignore[no-any-return]  # DRF's stub does not know its own answer
