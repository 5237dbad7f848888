"""The latest sessions, and one session from its first request to its last."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analytics.request_filters import RequestFilters
from analytics.request_rows import request_row
from analytics.seen import PERIOD_PARAMETERS, Seen, seen_by
from analytics.selectors import total_of_filters
from analytics.sessions import MAX_SESSIONS, latest_sessions, story_of
from billing import selectors as billing_selectors


@login_required
@require_safe
def sessions(request: HttpRequest, slug: str) -> HttpResponse:
    """The session `?id=`, or the list of a period's sessions."""
    seen = seen_by(request, slug)
    session_id = seen.parameters.get("id", "")
    return _one_session(request, seen, session_id) if session_id else _list(request, seen)


def _list(request: HttpRequest, seen: Seen) -> HttpResponse:
    """The one with the latest request comes first."""
    filters = RequestFilters(start=seen.period.start, end=seen.period.end, only_key_ids=seen.only_key_ids)
    found = latest_sessions(seen.tenant.organization, filters=filters)
    context = seen.frame() | {
        "sessions": [(row, session_address(seen.slug, row.session_id)) for row in found],
        "is_cut": len(found) == MAX_SESSIONS,
        "most": MAX_SESSIONS,
        "longer_href": seen.with_parameters(PERIOD_PARAMETERS, range="30d"),
    }
    return render(request, "analytics/sessions.html", context)


def _one_session(request: HttpRequest, seen: Seen, session_id: str) -> HttpResponse:
    """All its requests, oldest first, with their sums."""
    slug, organization = seen.slug, seen.tenant.organization
    filters = RequestFilters(session_id=session_id, only_key_ids=seen.only_key_ids)
    story = story_of(organization, filters=filters)
    if story is None:
        raise Http404("The organization has no such session.")
    after = seen.parameters.get("after", "")
    events, later = billing_selectors.events_in_order(organization, filters=filters, after=after)
    names = seen.names()
    corrections = billing_selectors.adjustments_of(organization, [event.id for event in events])
    place = session_address(slug, session_id)
    context = {
        "session_id": session_id,
        "story": story,
        "total": total_of_filters(organization, filters=filters),
        "rows": [
            request_row(event, slug=slug, key_names=names, corrections=corrections.get(event.id, ()))
            for event in events
        ],
        "first_href": place if after else "",
        "later_href": f"{place}&{urlencode({'after': later})}" if later else "",
        "as_of": seen.now,
    }
    return render(request, "analytics/session.html", context)


def session_address(slug: str, session_id: str) -> str:
    """The page of a session."""
    return f"{reverse('sessions', args=[slug])}?{urlencode({'id': session_id})}"
