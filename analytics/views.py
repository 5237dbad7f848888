"""The landing page and the overview. The request log is in `analytics.request_views`."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.tenancy import latest_organization
from analytics import breakdown, selectors, tiles
from analytics.examples import example
from analytics.models import Dimension
from analytics.seen import Seen, seen_by

GROUPINGS = (Dimension.MODEL, Dimension.KEY, Dimension.PROJECT, Dimension.PROVIDER, Dimension.TAG)


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What Farebox is, for strangers; members go on to their overview."""
    organization = latest_organization(request)
    if organization is not None:
        return redirect("overview", organization.slug)
    return render(request, "landing.html", example())


@login_required
@require_safe
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """What the period cost, who spent it and what went wrong."""
    seen = seen_by(request, slug)
    found = selectors.overview(
        seen.tenant.organization,
        period=seen.period,
        group_by=_grouping(seen),
        now=seen.now,
        key_ids=seen.only_key_ids,
    )
    names, requests_path = seen.names(), seen.requests_path
    groups, hidden_groups = breakdown.group_rows(found, names, requests_path=requests_path)
    columns, rows = breakdown.chart_table(found, names, requests_path=requests_path)
    context = (
        seen.frame()
        | example()
        | {
            "tiles": tiles.tiles(found, requests_path=requests_path, ledger_path=seen.ledger_path),
            "groupings": _grouping_links(seen, found.group_by),
            "grouping": found.group_by.label,
            "groups": groups,
            "hidden_groups": hidden_groups,
            "groups_overlap": found.group_by == Dimension.TAG,
            "total": found.total,
            "causes": breakdown.cause_rows(found, requests_path=requests_path),
            "chart": breakdown.chart(found, names),
            "chart_columns": columns,
            "chart_rows": rows,
            "is_empty": found.total.requests == 0,
            "is_narrowed": seen.only_key_ids is not None,
            "longer_href": seen.with_parameters(("range", "from", "to", "start", "end"), range="30d"),
        }
    )
    return render(request, "analytics/overview.html", context)


def _grouping(seen: Seen) -> Dimension:
    wanted = seen.parameters.get("by", "")
    return next((dimension for dimension in GROUPINGS if dimension.value == wanted), Dimension.MODEL)


def _grouping_links(seen: Seen, chosen: Dimension) -> list[tuple[str, str, bool]]:
    """Label, address and whether it is chosen; people who see their own keys alone group by key."""
    offered = GROUPINGS if seen.only_key_ids is None else (Dimension.KEY,)
    return [
        (dimension.label, seen.with_parameters(by=dimension.value), dimension == chosen)
        for dimension in offered
    ]
