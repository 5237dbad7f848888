"""For admin classes of what nobody changes by hand."""

from django.db.models import Model
from django.http import HttpRequest


class ReadOnly:
    """Rows are looked at, not made, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
