"""Headers that every page carries: what a browser may load, embed, send and remember.

The data plane answers programs and does not come through here.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
}
# Browsers hold the way that a form's answer leads on to form-action as well.
# https://docs.stripe.com/security/guide#content-security-policy (checked 2026-11-27)
STRIPE_CHECKOUT = "https://checkout.stripe.com"
# The admin's own scripts evaluate expressions in attributes and set inline styles.
ADMIN_POLICY = {**POLICY, "script-src": "'self' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"}
ADMIN_PATH = "/admin/"
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"


class BrowserPolicyMiddleware:
    """Sets Content-Security-Policy and Permissions-Policy; Django's own middleware sets the rest."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        policy = ADMIN_POLICY if request.path.startswith(ADMIN_PATH) else POLICY
        if settings.FAREBOX_PAYMENT_PROCESSOR == "stripe":
            policy = {**policy, "form-action": f"'self' {STRIPE_CHECKOUT}"}
        response.headers["Content-Security-Policy"] = _render(policy)
        response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store, private")
        return response


def _render(policy: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())
