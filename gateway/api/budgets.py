"""Budgets of every scope and window in the management API, with what is spent, held and left."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit_log import has_recorded
from accounts.permissions import Action
from billing import budget_services
from billing.budget_services import BudgetTerms, terms_of
from billing.models import Budget
from billing.money import ZERO_USD
from gateway.api.shapes import BudgetChange, BudgetInput, BudgetOutput, BudgetQuery
from gateway.api.views import GatewayView, Rows
from gateway.budget_counts import Place, counts_of, place_of
from gateway.budget_rights import right_to_set
from gateway.counters import MoneyCount

STANDING = ("spent_usd", "held_usd", "left_usd", "period_starts_at", "period_ends_at")


class BudgetView(GatewayView):
    subject = "Budgets"
    serializer_class = BudgetOutput
    queryset = Budget.objects.none()
    needs = {
        "list": Action.VIEW_SPEND,
        "retrieve": Action.VIEW_SPEND,
        "create": Action.MANAGE_BUDGETS,
        "partial_update": Action.MANAGE_BUDGETS,
        "destroy": Action.MANAGE_BUDGETS,
    }
    queries = {"list": BudgetQuery}

    @extend_schema(responses=BudgetOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The budgets of the organization and how they stand."""
        budgets = self.tenant.scoped(Budget.objects.filter(**self.query))
        return self.get_paginated_response(self._shown(self.paginate_queryset(budgets) or []))

    @extend_schema(request=BudgetInput, responses={201: BudgetOutput})
    def create(self, request: Request, slug: str) -> Response:
        """A budget beside those there are; all of them must have room for a request."""
        given = self.given(BudgetInput)
        self.tenant.require(right_to_set(given["scope"]))
        with transaction.atomic():
            budget = budget_services.create_budget(
                organization=self.tenant.organization, terms=BudgetTerms(**given)
            )
            self.record("budget.create", target=str(budget), target_id=budget.pk, changed=list(given))
        return Response(self._shown([budget])[0], status=201)

    @extend_schema(responses=BudgetOutput)
    def retrieve(self, request: Request, slug: str, budget_id: UUID) -> Response:
        """One budget and how it stands."""
        return Response(self._shown([self._budget(budget_id)])[0])

    @extend_schema(request=BudgetChange, responses=BudgetOutput)
    def partial_update(self, request: Request, slug: str, budget_id: UUID) -> Response:
        """Change a budget. What it counts never changes under it: then the answer has another id."""
        given = self.given(BudgetChange)
        with transaction.atomic():
            self.lock()
            budget = self._budget(budget_id)
            terms = replace(terms_of(budget), **given)
            for scope in (budget.scope, terms.scope):
                self.tenant.require(right_to_set(scope))
            changed = budget_services.update_budget(budget=budget, terms=terms)
            self.record("budget.update", target=str(changed), target_id=budget_id, changed=list(given))
        return Response(self._shown([changed])[0])

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, slug: str, budget_id: UUID) -> Response:
        """Lift a budget within a second. Again: 204, as nothing is left to do."""
        with transaction.atomic():
            organization = self.lock()
            try:
                budget = self._budget(budget_id)
            except Http404:
                if has_recorded(organization, action="budget.remove", target_id=budget_id):
                    return Response(status=204)
                raise
            self.tenant.require(right_to_set(budget.scope))
            budget_services.remove_budget(organization=organization, budget_id=budget.pk)
            self.record("budget.remove", target=str(budget), target_id=budget_id)
        return Response(status=204)

    def _budget(self, budget_id: UUID) -> Budget:
        return get_object_or_404(self.tenant.scoped(Budget.objects.all()), pk=budget_id)

    def _shown(self, budgets: Sequence[Budget]) -> Rows:
        now = timezone.now()
        places = [place_of(budget, now) for budget in budgets if not budget.is_each]
        counts = counts_of(self.tenant.organization, places)
        standing = {
            place.budget.pk: _standing(place, count) for place, count in zip(places, counts, strict=True)
        }
        nothing = dict.fromkeys(STANDING)
        return [
            dict(BudgetOutput(_fields_of(budget) | standing.get(budget.pk, nothing)).data)
            for budget in budgets
        ]


def _fields_of(budget: Budget) -> dict[str, Any]:
    names = [str(name) for name in BudgetOutput().fields]
    return {name: getattr(budget, name) for name in names if name not in STANDING}


def _standing(place: Place, count: MoneyCount) -> dict[str, Any]:
    taken_usd = count.spent_usd + count.held_usd
    return {
        "spent_usd": count.spent_usd,
        "held_usd": count.held_usd,
        "left_usd": max(place.budget.amount_usd - taken_usd, ZERO_USD),
        "period_starts_at": place.period.starts_at,
        "period_ends_at": place.period.ends_at,
    }
