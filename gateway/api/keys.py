"""Keys in the management API: list, create, read, change, roll, revoke."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

import accounts.services
from accounts.api.failures import Refused
from accounts.errors import KeyRevoked
from accounts.models import ApiKey, Project
from accounts.permissions import Action
from billing.models import Budget
from gateway import services
from gateway.api.shapes import RATES, KeyChange, KeyInput, KeyOutput, KeyQuery, NewKeyOutput, RollInput
from gateway.api.views import GatewayView, Rows
from gateway.key_rows import status_of
from gateway.limit_services import plain_budget, plain_budgets

CHANGEABLE = (*RATES, "allowed_models", "is_budget_clamped")


class KeyView(GatewayView):
    subject = "Keys"
    serializer_class = KeyOutput
    queryset = ApiKey.objects.none()
    needs = {"create": Action.CREATE_KEY, "partial_update": Action.MANAGE_KEYS}
    queries = {"list": KeyQuery}

    @extend_schema(responses=KeyOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The keys of the organization; developers see their own."""
        found = self.paginate_queryset(self._filtered(self.tenant.keys())) or []
        return self.get_paginated_response(self._shown(found))

    @extend_schema(request=KeyInput, responses={201: NewKeyOutput})
    def create(self, request: Request, slug: str) -> Response:
        """A new key. Its secret is in this answer once."""
        given = self.given(KeyInput)
        require_budget(given)
        project = self._project(given.pop("project_id", None))
        with transaction.atomic():
            key, secret = services.issue_key(
                organization=self.tenant.organization,
                project=project,
                person=self.tenant.person,
                issuer_role=self.tenant.role,
                **given,
            )
            self.record("key.create", target=str(key), target_id=key.pk, changed=list(given))
        return Response({**self._shown([key])[0], "secret": secret}, status=201)

    @extend_schema(responses=KeyOutput)
    def retrieve(self, request: Request, slug: str, key_id: UUID) -> Response:
        """One key."""
        return Response(self._shown([self.tenant.key(key_id)])[0])

    @extend_schema(request=KeyChange, responses=KeyOutput)
    def partial_update(self, request: Request, slug: str, key_id: UUID) -> Response:
        """Change what a key may do and spend; it holds within a second."""
        given = self.given(KeyChange)
        with transaction.atomic():
            self.lock()
            key = self.tenant.key(key_id)
            if key.revoked_at is not None:
                raise KeyRevoked("The key is revoked: nothing about it can change.")
            budget = plain_budget(self.tenant.organization, Budget.Scope.KEY, key.pk)
            current = {name: getattr(key, name) for name in CHANGEABLE} | budget_terms(budget)
            require_budget(given, current)
            self.record("key.update", target=str(key), target_id=key.pk, changed=list(given))
            if "role" in given:
                accounts.services.set_key_role(key=key, role=given.pop("role"), issuer_role=self.tenant.role)
            if "allowed_networks" in given:
                networks = given.pop("allowed_networks")
                accounts.services.set_key_networks(key=key, allowed_networks=networks)
            services.update_key(key=key, is_calendar_kept=False, **(current | given))
        return Response(self._shown([self.tenant.key(key_id)])[0])

    @extend_schema(request=RollInput, responses=NewKeyOutput)
    def roll(self, request: Request, slug: str, key_id: UUID) -> Response:
        """Another secret for the same key, whose limits, budgets and usage go on."""
        key, given = self._changeable(key_id), self.given(RollInput)
        with transaction.atomic():
            secret = accounts.services.roll_key(key=key, issuer_role=self.tenant.role, **given)
            self.record("key.roll", target=str(key), target_id=key.pk, changed=list(given))
        return Response({**self._shown([key])[0], "secret": secret})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, slug: str, key_id: UUID) -> Response:
        """Revoke a key for good: dead everywhere within a second. Again: 204, as nothing is left to do."""
        key = self._changeable(key_id)
        if key.revoked_at is None:
            with transaction.atomic():
                accounts.services.revoke_key(key=key)
                self.record("key.revoke", target=str(key), target_id=key.pk)
        return Response(status=204)

    def _changeable(self, key_id: UUID) -> ApiKey:
        key = self.tenant.key(key_id)
        if not self.tenant.may_change(key):
            raise PermissionDenied(Action.MANAGE_KEYS.label)
        return key

    def _project(self, project_id: UUID | None) -> Project:
        projects = self.tenant.projects()
        project = projects.filter(pk=project_id).first() if project_id else projects.first()
        if project is None:
            raise Refused("project_id must be a project of the organization.", param="project_id")
        return project

    def _filtered(self, keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        has_expired = Q(expires_at__lte=timezone.now())
        conditions = {
            "revoked": Q(revoked_at__isnull=False),
            "expired": Q(revoked_at=None) & has_expired,
            "active": Q(revoked_at=None) & ~has_expired,
        }
        condition = conditions.get(self.query.get("status", ""), Q())
        if "project_id" in self.query:
            condition &= Q(project_id=self.query["project_id"])
        return keys.filter(condition)

    def _shown(self, keys: Sequence[ApiKey]) -> Rows:
        now, organization = timezone.now(), self.tenant.organization
        budgets = plain_budgets(organization, Budget.Scope.KEY, [key.pk for key in keys])
        return [
            dict(KeyOutput(_Shown(key, status_of(key, now=now), budgets.get(key.pk))).data) for key in keys
        ]


class _Shown:
    """A key with what is not in its row."""

    def __init__(self, key: ApiKey, status: str, budget: Budget | None) -> None:
        self._key, self.status = key, status
        self.budget_usd = budget.amount_usd if budget else None
        self.budget_window = budget.window if budget else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)


def require_budget(given: Mapping[str, Any], current: Mapping[str, Any] | None = None) -> None:
    """Raise Refused where what is given speaks of a budget that there would not be."""
    spoken = [name for name in ("budget_window", "time_zone") if name in given]
    if spoken and {**(current or {}), **given}.get("budget_usd") is None:
        raise Refused(
            f"{spoken[0]} is of a budget, and there is none: give budget_usd as well.", param=spoken[0]
        )


def budget_terms(budget: Budget | None) -> dict[str, Any]:
    """The budget of a key or project as its service takes it."""
    if budget is None:
        return {"budget_usd": None, "budget_window": Budget.Window.MONTH, "time_zone": "UTC"}
    return {
        "budget_usd": budget.amount_usd,
        "budget_window": budget.window,
        "time_zone": budget.time_zone,
    }
