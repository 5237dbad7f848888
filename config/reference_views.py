"""The OpenAPI document and the page that shows it. Both are open to everybody: they name no tenant."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from accounts.api.failures import CODES, NOT_FOUND_MESSAGE, Fault, envelope
from accounts.tenancy import latest_organization
from config.reference import Section, sections_of


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """The document as JSON."""
    return JsonResponse(api_document())


@csrf_exempt
def no_such_call(request: HttpRequest) -> HttpResponse:
    """Addresses below `/api/` that nothing serves, in the shape of its other errors."""
    return JsonResponse(envelope(404, [Fault(NOT_FOUND_MESSAGE, CODES[404])]), status=404)


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """The reference: all calls on one page, with a form to try those that a signed-in browser may make."""
    latest = latest_organization(request)
    context = {
        "sections": api_sections(),
        "slug": latest.slug if latest else "",
        "public_url": settings.FAREBOX_PUBLIC_URL,
    }
    return render(request, "reference/reference.html", context)


@cache
def api_sections() -> tuple[Section, ...]:
    return sections_of(api_document())


@cache
def api_document() -> dict[str, Any]:
    """Made once a process: it depends on the code alone."""
    generator_class: Any = SchemaGenerator
    found: dict[str, Any] = generator_class().get_schema(request=None, public=True)
    return found
