"""The request log and the page of one request."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from accounts.permissions import Action
from analytics import conversation, request_rows, request_story
from analytics.examples import example
from analytics.exports import csv_of_requests
from analytics.models import Dimension, UsageHour
from analytics.request_filters import NAMES, RequestFilters, address, group_of_query, request_filters_of
from analytics.rollups import HOUR, Sums
from analytics.seen import PERIOD_PARAMETERS, Seen, seen_by
from analytics.selectors import total_of_filters, total_of_group
from analytics.session_views import session_address
from billing import selectors as billing_selectors
from billing.event_filters import ANY_HIT, NO_HIT
from billing.external_events import is_external
from billing.models import UsageEvent
from billing.money import ZERO_USD

MAX_CHOICES = 200


@login_required
@require_safe
def requests(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The requests of a period that pass the filters, newest first, with their sum; or all as CSV."""
    seen = seen_by(request, slug)
    filters = request_filters_of(
        seen.parameters,
        only_key_ids=seen.only_key_ids,
        start=seen.period.start,
        end=seen.period.end,
    )
    if seen.parameters.get("format") == "csv":
        return _download(seen, filters)
    page = billing_selectors.events(
        seen.tenant.organization, filters=filters, older=seen.parameters.get("older", "")
    )
    names = seen.names()
    corrections = billing_selectors.adjustments_of(
        seen.tenant.organization, [event.id for event in page.events]
    )
    context = (
        seen.frame()
        | example()
        | {
            "rows": [
                request_rows.request_row(
                    event, slug=slug, key_names=names, corrections=corrections.get(event.id, ())
                )
                for event in page.events
            ],
            "table_caption": f"Requests, newest first, {seen.period.words}",
            "total": _total(seen, filters),
            "chips": request_rows.chips(seen.parameters, path=seen.path, names=names),
            "filters": seen.parameters,
            "choices": _choices(seen),
            "kept_period": [
                (name, seen.parameters[name]) for name in PERIOD_PARAMETERS if seen.parameters.get(name)
            ],
            "older_href": seen.with_parameters(older=page.older) if page.older else "",
            "newest_href": seen.with_parameters() if seen.parameters.get("older") else "",
            "clear_href": seen.with_parameters(NAMES),
            "longer_href": seen.with_parameters(PERIOD_PARAMETERS, range="30d"),
            "csv_href": seen.with_parameters(format="csv"),
            "is_filtered": any(seen.parameters.get(name) for name in NAMES),
        }
    )
    return render(request, "analytics/requests.html", context)


@login_required
@require_safe
def request_detail(request: HttpRequest, slug: str, event_id: UUID) -> HttpResponse:
    """One request: what happened, what it used and cost, what bound it, and its messages if stored."""
    seen = seen_by(request, slug)
    event = billing_selectors.event(seen.tenant.organization, event_id)
    if event is None or (seen.only_key_ids is not None and event.key_id not in seen.only_key_ids):
        raise Http404("The organization has no such request.")
    may_read = seen.tenant.may(Action.VIEW_BODIES)
    body = billing_selectors.bodies_of(event)
    bodies = conversation.open_bodies(seen.tenant.organization, body) if may_read else None
    asked = bodies.request if bodies else None
    names = seen.names()
    corrections = billing_selectors.adjustments_of(seen.tenant.organization, [event.id]).get(event.id, ())
    original = event.parameters.get("replay_of", "")
    context = {
        "event": event,
        "row": request_rows.request_row(event, slug=slug, key_names=names, corrections=corrections),
        "corrections": request_story.corrections(corrections, href_of=_correction_href(seen)),
        "effective_cost_usd": event.cost_usd + sum((each.cost_usd for each in corrections), ZERO_USD),
        "project_name": names.get(str(event.project_id), ""),
        "key_href": _address("key_detail", slug, event.key_id),
        "ledger_href": _address("ledger_transfer", slug, event.id) if _is_in_ledger(seen, event) else "",
        "idempotency_key": event.parameters.get("idempotency_key", ""),
        "cache_id": event.parameters.get("cache_id", ""),
        "healing": event.parameters.get("healing", ""),
        "original_href": _address("request", slug, original) if original else "",
        "steps": request_story.timeline(event),
        "attempts": request_story.attempts(event),
        "tokens": request_story.tokens(event),
        "cost_parts": request_story.cost_parts(event),
        "limits": request_story.limits(event),
        "messages_of_request": bodies.messages if bodies else (),
        "has_bodies": body is not None,
        "may_read_bodies": may_read,
        "raw": request_story.as_json(event),
        "curl": _curl(event, asked),
        "tags": [(tag, address(seen.requests_path, {"tag": tag})) for tag in event.tags],
        "session_href": session_address(slug, event.session_id) if event.session_id else "",
        "labels": request_story.labels(event, requests_path=seen.requests_path),
    }
    return render(request, "analytics/request.html", context)


def _curl(event: UsageEvent, asked: dict[str, Any] | None) -> str:
    """The request as a command; nothing for one that somebody else served."""
    if is_external(event):
        return ""
    return request_story.as_curl(event, public_url=settings.FAREBOX_PUBLIC_URL, body=asked)


def _download(seen: Seen, filters: RequestFilters) -> StreamingHttpResponse:
    organization = seen.tenant.organization
    content = csv_of_requests(organization, filters=filters, names=seen.names())
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="requests-{organization.slug}.csv"'
    return response


def _total(seen: Seen, filters: RequestFilters) -> Sums:
    """The sum of what passes: through the rollups where one of their groups is asked for."""
    organization = seen.tenant.organization
    group = group_of_query(seen.parameters)
    if group is None or seen.only_key_ids is not None:
        return total_of_filters(organization, filters=filters)
    dimension, value = group
    return total_of_group(
        organization, dimension=dimension, value=value, start=seen.period.start, end=seen.period.end
    )


def _choices(seen: Seen) -> dict[str, list[tuple[str, str]]]:
    """What the form offers: keys and projects by name, and the models, providers and tags of the period."""
    hours = UsageHour.objects.filter(hour__gt=seen.period.start - HOUR, hour__lt=seen.period.end)
    offered = [Dimension.MODEL, Dimension.PROVIDER, Dimension.TAG, Dimension.CAUSE]
    if seen.only_key_ids is not None:
        offered = []
    found = seen.tenant.scoped(hours.filter(dimension__in=offered)).exclude(value="")
    pairs = found.order_by("dimension", "value").values_list("dimension", "value").distinct()[:MAX_CHOICES]
    choices: dict[str, list[tuple[str, str]]] = {
        "keys": [(str(key.pk), f"{key.name} …{key.last_four}") for key in seen.tenant.keys()[:MAX_CHOICES]],
        "projects": [(str(project.pk), project.name) for project in seen.tenant.projects()[:MAX_CHOICES]],
        "endings": list(UsageEvent.Ending.choices),
        "cache_hits": [(ANY_HIT, "Yes"), *UsageEvent.CacheHit.choices, (NO_HIT, "No")],
    }
    for dimension, value in pairs:
        choices.setdefault(f"{dimension}s", []).append((value, value))
    return choices


def _is_in_ledger(seen: Seen, event: UsageEvent) -> bool:
    return bool(seen.ledger_path) and event.charge_usd > 0


def _correction_href(seen: Seen) -> Callable[[UUID], str]:
    """Where a correction's transfer is shown, to those who see the ledger."""
    return lambda transfer_id: _address("ledger_transfer", seen.slug, transfer_id) if seen.ledger_path else ""


def _address(name: str, *arguments: object) -> str:
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""
