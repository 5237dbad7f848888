"""The door for the payment processor's webhooks. No session, no cookie: the signature says who it is."""

import logging

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.errors import PaymentsOff
from billing.processors.base import ForgedWebhook, ProcessorUnavailable
from billing.webhooks import take_webhook

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def payment_webhook(request: HttpRequest) -> HttpResponse:
    """200 once it is taken, 400 when it is not the processor's, 503 when it should be sent again."""
    try:
        outcome = take_webhook(request.body, request.headers)
    except PaymentsOff as exc:
        raise Http404(str(exc)) from exc
    except ForgedWebhook as exc:
        logger.warning("webhook refused", extra={"reason": str(exc)})
        return JsonResponse({"error": "The signature does not fit, or its moment is not of now."}, status=400)
    except ProcessorUnavailable as exc:
        logger.warning("webhook put off", extra={"reason": str(exc)})
        return JsonResponse({"error": "Send it again in a while."}, status=503)
    return JsonResponse({"outcome": outcome})
