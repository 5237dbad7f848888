"""Projects and the organization's own limits in the management API."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

import accounts.services
from accounts.models import Organization, Project
from accounts.permissions import Action
from billing.models import Budget
from billing.money import ZERO_USD
from gateway import limit_services
from gateway.api.keys import budget_terms, require_budget
from gateway.api.shapes import (
    RATES,
    LimitsChange,
    LimitsOutput,
    ProjectChange,
    ProjectInput,
    ProjectOutput,
)
from gateway.api.views import GatewayView, Rows
from gateway.limit_services import plain_budget, plain_budgets
from gateway.models import OutagePolicy

CHANGEABLE = (*RATES, "name", "mode", "is_body_logging_on", "is_caching_on", "cache_ttl_seconds")


class ProjectView(GatewayView):
    subject = "Projects"
    serializer_class = ProjectOutput
    queryset = Project.objects.none()
    needs = {"create": Action.MANAGE_PROJECTS, "partial_update": Action.MANAGE_PROJECTS}

    @extend_schema(responses=ProjectOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The projects of the organization."""
        found = self.paginate_queryset(self.tenant.projects()) or []
        return self.get_paginated_response(self._shown(found))

    @extend_schema(request=ProjectInput, responses={201: ProjectOutput})
    def create(self, request: Request, slug: str) -> Response:
        """A new project with its limits."""
        given = self.given(ProjectInput)
        require_budget(given)
        with transaction.atomic():
            project = limit_services.create_project(organization=self.tenant.organization, **given)
            self.record("project.create", target=project.name, target_id=project.pk, changed=list(given))
        return Response(self._shown([project])[0], status=201)

    @extend_schema(responses=ProjectOutput)
    def retrieve(self, request: Request, slug: str, project_id: UUID) -> Response:
        """One project."""
        return Response(self._shown([self.tenant.project(project_id)])[0])

    @extend_schema(request=ProjectChange, responses=ProjectOutput)
    def partial_update(self, request: Request, slug: str, project_id: UUID) -> Response:
        """Change a project; its limits hold within a second."""
        given = self.given(ProjectChange)
        with transaction.atomic():
            self.lock()
            project = self.tenant.project(project_id)
            budget = plain_budget(self.tenant.organization, Budget.Scope.PROJECT, project.pk)
            current = {name: getattr(project, name) for name in CHANGEABLE}
            current |= budget_terms(budget)
            require_budget(given, current)
            limit_services.update_project(project=project, is_calendar_kept=False, **(current | given))
            self.record("project.update", target=project.name, target_id=project.pk, changed=list(given))
        return Response(self._shown([self.tenant.project(project_id)])[0])

    def _shown(self, projects: Sequence[Project]) -> Rows:
        ids = [project.pk for project in projects] if self.tenant.may(Action.VIEW_SPEND) else []
        budgets = plain_budgets(self.tenant.organization, Budget.Scope.PROJECT, ids)
        return [_shown(project, budgets.get(project.pk)) for project in projects]


class LimitsView(GatewayView):
    subject = "Limits"
    serializer_class = LimitsOutput
    needs = {"retrieve": Action.VIEW_SPEND}
    pagination_class = None

    @extend_schema(responses=LimitsOutput)
    def retrieve(self, request: Request, slug: str) -> Response:
        """What binds all keys of the organization together."""
        return self._shown(self.tenant.organization)

    @extend_schema(request=LimitsChange, responses=LimitsOutput)
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change them. Rates are the owners'; the outage allowance is the owners' and billing's."""
        given = self.given(LimitsChange)
        if not given or given.keys() & set(RATES):
            self.tenant.require(Action.MANAGE_ORGANIZATION)
        if "redis_away_usd" in given:
            self.tenant.require(Action.MANAGE_BILLING)
        with transaction.atomic():
            organization = self.lock()
            self._set(organization, given)
            self.record(
                "limits.update", target=organization.name, target_id=organization.pk, changed=list(given)
            )
        return self._shown(organization)

    def _set(self, organization: Organization, given: dict[str, Any]) -> None:
        rates = {name: given.get(name, getattr(organization, name)) for name in RATES}
        if given.keys() & set(RATES):
            accounts.services.set_rates(holder=organization, **rates)
        if "redis_away_usd" in given:
            limit_services.set_redis_away_allowance(
                organization=organization, amount_usd=given["redis_away_usd"]
            )

    def _shown(self, organization: Organization) -> Response:
        policy = self.tenant.scoped(OutagePolicy.objects.all()).first()
        allowance_usd = policy.redis_away_usd if policy else ZERO_USD
        rates = {name: getattr(organization, name) for name in RATES}
        most_usd = settings.FAREBOX_GATEWAY.redis_away_limit_usd
        return Response(LimitsOutput({**rates, "redis_away_usd": min(allowance_usd, most_usd)}).data)


def _shown(project: Project, budget: Budget | None) -> dict[str, Any]:
    names = ("id", "name", "mode", "created_at", *RATES)
    amounts = {
        "budget_usd": budget.amount_usd if budget else None,
        "budget_window": budget.window if budget else None,
    }
    return dict(ProjectOutput({name: getattr(project, name) for name in names} | amounts).data)
