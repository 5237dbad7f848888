"""`GET /v1/key`: what the key that asks may do and spend, and what it has spent. Never the key itself."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.keys import PREFIX
from accounts.management import ManagementView
from accounts.models import ApiKey, Limits
from accounts.permissions import ACTIONS_OF_ROLE
from accounts.tenancy import KeyBearer, scoped
from billing.models import Budget, UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjusted_total
from gateway.budget_counts import Place, counts_of, place_of
from gateway.counters import MoneyCount

LEVELS = (Budget.Scope.KEY, Budget.Scope.PROJECT, Budget.Scope.ORGANIZATION)
RATES = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")


class KeyInfo(ManagementView):
    def get(self, request: Request) -> Response:
        bearer, now = self.bearer, timezone.now()
        key = bearer.api_key
        budgets = _budgets(bearer, now)
        facts = {
            "id": str(key.pk),
            "name": key.name,
            "label": f"{PREFIX}…{key.last_four}",
            "role": key.role or None,
            "rights": sorted(ACTIONS_OF_ROLE[bearer.role]) if bearer.role else [],
            "organization": {"id": str(bearer.organization.pk), "name": bearer.organization.name},
            "project": {
                "id": str(key.project_id),
                "name": key.project.name,
                "mode": key.project.mode,
            },
            "created_at": key.created_at.isoformat(),
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
            "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
            "allowed_models": key.allowed_models,
            "default_tags": key.default_tags,
            "is_free_tier": False,
        }
        limits = {"budgets": budgets, "rate_limit": _interval(key), "rate_limits": _rates(bearer)}
        return Response({"data": {**facts, **_limit(budgets), **_usage(bearer, now), **limits}})


def _budgets(bearer: KeyBearer, now: datetime) -> list[dict[str, Any]]:
    """Every budget of the key, its project and its organization, the narrowest first."""
    ids = [bearer.api_key.pk, bearer.api_key.project_id, bearer.organization.pk]
    rows = scoped(Budget.objects.filter(scope__in=LEVELS, scope_id__in=ids), bearer.organization)
    found = sorted(rows, key=lambda budget: (LEVELS.index(Budget.Scope(budget.scope)), budget.created_at))
    places = [place_of(budget, now) for budget in found]
    counts = counts_of(bearer.organization, places)
    return [_budget(place, count) for place, count in zip(places, counts, strict=True)]


def _budget(place: Place, count: MoneyCount) -> dict[str, Any]:
    budget = place.budget
    left_usd = max(ZERO_USD, budget.amount_usd - count.spent_usd - count.held_usd)
    ends_at = None if budget.is_rolling else place.period.ends_at
    return {
        "id": str(budget.pk),
        "scope": budget.scope,
        "name": budget.name,
        "window": budget.window,
        "is_rolling": budget.is_rolling,
        "is_observed": budget.is_observed,
        "limit": float(budget.amount_usd),
        "usage": float(count.spent_usd),
        "held": float(count.held_usd),
        "limit_remaining": float(left_usd),
        "renews_at": ends_at.isoformat() if ends_at else None,
    }


def _limit(budgets: list[dict[str, Any]]) -> dict[str, Any]:
    """The budget of the key's own that leaves it the least; all of them are in `budgets`."""
    own = [each for each in budgets if each["scope"] == Budget.Scope.KEY and not each["is_observed"]]
    tightest = min(own, key=lambda each: each["limit_remaining"], default=None)
    if tightest is None:
        return {"limit": None, "limit_remaining": None, "limit_reset": None}
    return {
        "limit": tightest["limit"],
        "limit_remaining": tightest["limit_remaining"],
        "limit_reset": tightest["window"],
    }


def _usage(bearer: KeyBearer, now: datetime) -> dict[str, Any]:
    """What the key was charged, corrections included: in all, and since the UTC day, week and month began."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "usage_daily": day,
        "usage_weekly": day - timedelta(days=day.weekday()),
        "usage_monthly": day.replace(day=1),
    }
    events = scoped(UsageEvent.objects.filter(key_id=bearer.api_key.pk), bearer.organization).order_by()
    sums = events.aggregate(
        usage=Sum("charge_usd"),
        requests=Count("id"),
        byok_usage=Sum("cost_usd", filter=Q(is_own_credential=True)),
        **{name: Sum("charge_usd", filter=Q(occurred_at__gte=start)) for name, start in starts.items()},
    )
    since = {"usage": events, **{name: events.filter(occurred_at__gte=at) for name, at in starts.items()}}
    corrected: dict[str, Decimal] = {
        name: (sums[name] or ZERO_USD) + adjusted_total(bearer.organization, rows)["charge_usd"]
        for name, rows in since.items()
    }
    return {
        **{name: float(amount_usd) for name, amount_usd in corrected.items()},
        "byok_usage": float(sums["byok_usage"] or ZERO_USD),
        "requests": sums["requests"],
    }


def _rates(bearer: KeyBearer) -> dict[str, dict[str, int | None]]:
    levels: tuple[tuple[str, Limits], ...] = (
        ("key", bearer.api_key),
        ("project", bearer.api_key.project),
        ("organization", bearer.organization),
    )
    return {name: {rate: getattr(level, rate) for rate in RATES} for name, level in levels}


def _interval(key: ApiKey) -> dict[str, Any]:
    """As OpenRouter's clients read it; -1: no limit."""
    requests = key.requests_per_minute
    return {"requests": -1 if requests is None else requests, "interval": "60s"}
