"""Django's registration of analytics."""

from django.apps import AppConfig

from analytics.audit_rules import ROLLUPS_ARE_SUMS
from billing.audit_rules import add_rules


class AnalyticsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "analytics"

    def ready(self) -> None:
        add_rules(ROLLUPS_ARE_SUMS)
