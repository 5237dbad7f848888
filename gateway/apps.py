"""Django's registration of gateway."""

from functools import partial

from django.apps import AppConfig

from billing.reconciliation.names import add_source
from gateway.declared_names import declared_names


class GatewayConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "gateway"

    def ready(self) -> None:
        add_source(partial(declared_names, self.get_model("CustomModel")))
