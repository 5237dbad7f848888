"""Django's registration of billing."""

from django.apps import AppConfig

from billing.audit_rules import add_rules
from billing.credit_audit_rules import CREDIT_RULES


class BillingConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "billing"

    def ready(self) -> None:
        add_rules(*CREDIT_RULES)
