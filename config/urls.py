"""Every page and management route. The data plane's routes are in `config.asgi`."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from analytics import query_api
from config import celery as celery  # binds the tasks that pages delay to their broker
from config import reference_views
from gateway.known_endpoints import is_known_endpoint

MANAGEMENT = "api/manage/v1/"

urlpatterns = [
    path("accounts/", include("allauth.account.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("gateway.urls")),
    path("", include("gateway.management_urls")),
    path("", include("analytics.urls")),
    re_path(
        r"^v0/queries/?$",
        query_api.Queries.as_view(is_known_endpoint=is_known_endpoint),
        name="v0_queries",
    ),
    re_path(r"^v0/tags/?$", query_api.Tags.as_view(), name="v0_tags"),
    re_path(r"^v0/metrics/?$", query_api.Metrics.as_view(), name="v0_metrics"),
    re_path(r"^v0/user/query-logging/?$", query_api.QueryLogging.as_view(), name="v0_query_logging"),
    path(MANAGEMENT, include("accounts.api.urls")),
    path(MANAGEMENT, include("gateway.api.urls")),
    path(MANAGEMENT, include("analytics.api.urls")),
    path("api/schema/", reference_views.document, name="api_schema"),
    path("api/schema.json", reference_views.document, name="api_schema_json"),
    path("api/docs/", reference_views.reference, name="api_reference"),
    re_path("^api/.*$", reference_views.no_such_call, name="api_elsewhere"),
]

if settings.FAREBOX_ADMIN_IS_SERVED:
    # People sign in to the admin as everywhere else: with the same rate limits.
    admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # allauth's way
    urlpatterns.append(path("admin/", admin.site.urls))
