"""Pages of keys, projects, limits and providers. The data plane's routes are in `gateway.asgi`."""

from django.urls import path

from gateway import (
    budget_views,
    key_views,
    organization_limit_views,
    project_views,
    provider_views,
    reuse_views,
    routing_views,
    welcome_views,
)

urlpatterns = [
    path("o/<slug:slug>/welcome/", welcome_views.first_key, name="first_key"),
    path("o/<slug:slug>/keys/", key_views.keys, name="keys"),
    path("o/<slug:slug>/keys/new/", key_views.key_new, name="key_new"),
    path("o/<slug:slug>/keys/<uuid:key_id>/", key_views.key_detail, name="key_detail"),
    path("o/<slug:slug>/keys/<uuid:key_id>/limits/", key_views.key_limits, name="key_limits"),
    path("o/<slug:slug>/keys/<uuid:key_id>/role/", key_views.key_role, name="key_role"),
    path("o/<slug:slug>/keys/<uuid:key_id>/revoke/", key_views.key_revoke, name="key_revoke"),
    path("o/<slug:slug>/projects/", project_views.projects, name="projects"),
    path("o/<slug:slug>/projects/new/", project_views.project_new, name="project_new"),
    path("o/<slug:slug>/projects/<uuid:project_id>/", project_views.project_detail, name="project_detail"),
    path("o/<slug:slug>/budgets/", budget_views.budgets, name="budgets"),
    path("o/<slug:slug>/budgets/new/", budget_views.budget_new, name="budget_new"),
    path("o/<slug:slug>/budgets/webhook/", budget_views.alert_webhook, name="alert_webhook"),
    path("o/<slug:slug>/budgets/<uuid:budget_id>/", budget_views.budget_detail, name="budget_detail"),
    path("o/<slug:slug>/budgets/<uuid:budget_id>/delete/", budget_views.budget_delete, name="budget_delete"),
    path(
        "o/<slug:slug>/settings/routing/",
        routing_views.organization_routing,
        name="organization_routing",
    ),
    path(
        "o/<slug:slug>/settings/limits/",
        organization_limit_views.organization_limits,
        name="organization_limits",
    ),
    path(
        "o/<slug:slug>/settings/limits/rates/",
        organization_limit_views.organization_rates,
        name="organization_rates",
    ),
    path(
        "o/<slug:slug>/settings/limits/budget/",
        organization_limit_views.organization_budget,
        name="organization_budget",
    ),
    path(
        "o/<slug:slug>/settings/limits/outage/",
        organization_limit_views.organization_outage,
        name="organization_outage",
    ),
    path("o/<slug:slug>/settings/reuse/", reuse_views.organization_reuse, name="organization_reuse"),
    path("o/<slug:slug>/providers/", provider_views.providers, name="providers"),
    path(
        "o/<slug:slug>/providers/endpoints/<uuid:endpoint_id>/delete/",
        provider_views.endpoint_remove,
        name="endpoint_remove",
    ),
    path(
        "o/<slug:slug>/providers/<uuid:connection_id>/delete/",
        provider_views.provider_disconnect,
        name="provider_disconnect",
    ),
    path(
        "o/<slug:slug>/providers/<uuid:connection_id>/models/",
        provider_views.model_declare,
        name="model_declare",
    ),
    path(
        "o/<slug:slug>/providers/<uuid:connection_id>/models/<uuid:model_id>/delete/",
        provider_views.model_remove,
        name="model_remove",
    ),
]
