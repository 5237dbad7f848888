"""The management API's addresses of keys, projects, budgets and limits."""

from django.urls import path

from accounts.api.urls import OF_ORGANIZATION
from gateway.api.budgets import BudgetView
from gateway.api.keys import KeyView
from gateway.api.projects import LimitsView, ProjectView

urlpatterns = [
    path(f"{OF_ORGANIZATION}/keys", KeyView.as_view({"get": "list", "post": "create"}), name="api_keys"),
    path(
        f"{OF_ORGANIZATION}/keys/<uuid:key_id>",
        KeyView.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_key",
    ),
    path(
        f"{OF_ORGANIZATION}/keys/<uuid:key_id>/roll", KeyView.as_view({"post": "roll"}), name="api_key_roll"
    ),
    path(
        f"{OF_ORGANIZATION}/projects",
        ProjectView.as_view({"get": "list", "post": "create"}),
        name="api_projects",
    ),
    path(
        f"{OF_ORGANIZATION}/projects/<uuid:project_id>",
        ProjectView.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_project",
    ),
    path(
        f"{OF_ORGANIZATION}/budgets",
        BudgetView.as_view({"get": "list", "post": "create"}),
        name="api_budgets",
    ),
    path(
        f"{OF_ORGANIZATION}/budgets/<uuid:budget_id>",
        BudgetView.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_budget",
    ),
    path(
        f"{OF_ORGANIZATION}/limits",
        LimitsView.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_limits",
    ),
]
