"""Declared models' names at their endpoints, for billing to match a provider's bill with."""

import uuid
from collections.abc import Mapping
from typing import Any


def declared_names(models: Any, organization_id: uuid.UUID | None) -> Mapping[tuple[str, str], str]:
    """(provider, our model) → upstream name, of the operator's connections (None) or an organization's.

    `models` is the class CustomModel, which an AppConfig cannot import.
    """
    rows = models.objects.filter(connection__organization=organization_id)
    return {
        (provider, model): upstream_name
        for provider, model, upstream_name in rows.values_list(
            "connection__provider", "model", "upstream_name"
        )
    }
