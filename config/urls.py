"""Every page and management route. The data plane's routes are in `config.asgi`."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config import celery as celery  # binds the tasks that pages delay to their broker

urlpatterns = [
    path("accounts/", include("allauth.account.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("gateway.urls")),
    path("", include("gateway.management_urls")),
    path("", include("analytics.urls")),
]

if settings.FAREBOX_ADMIN_IS_SERVED:
    # People sign in to the admin as everywhere else: with the same rate limits.
    admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # allauth's way
    urlpatterns.append(path("admin/", admin.site.urls))
