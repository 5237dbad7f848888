"""The management API's addresses of usage and of the request log."""

from django.urls import path

from accounts.api.urls import OF_ORGANIZATION
from analytics.api.logs import LogView
from analytics.api.usage import UsageView

urlpatterns = [
    path(f"{OF_ORGANIZATION}/usage", UsageView.as_view({"get": "retrieve"}), name="api_usage"),
    path(f"{OF_ORGANIZATION}/logs", LogView.as_view({"get": "list"}), name="api_logs"),
    path(f"{OF_ORGANIZATION}/logs/<uuid:event_id>", LogView.as_view({"get": "retrieve"}), name="api_log"),
]
