"""The management API's part of the OpenAPI document: who may call, what else may be answered."""

import inspect
from collections.abc import Iterable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import ListSerializer

from accounts.api.fields import StrictSerializer
from config.openapi.failures import FAILURE_SCHEMA, refusal

PREFIX = "/api/manage/"
WRITES = ("post", "patch", "put", "delete")
ALWAYS = (400, 401, 403, 404, 429)
WITH_A_BODY = (409, 413, 415)


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    target_class = "accounts.api.authentication.ManagementTokenAuthentication"
    name = "managementToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of a member, made under Settings: `fbm_…`.",
        }


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.api.authentication.BrowserAuthentication"
    name = "browserSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "session",
            "description": "A signed-in browser; writes need the header `X-CSRFToken`.",
        }


class ManagementSchema(AutoSchema):
    """Parameters come from the view's `queries`, the section from its `subject`, words from docstrings."""

    @property
    def _action(self) -> str:
        return str(getattr(self.view, "action", ""))

    def get_override_parameters(self) -> list[Any]:
        query = getattr(self.view, "queries", {}).get(self._action)
        return [query] if query is not None else []

    def get_tags(self) -> list[str]:
        return [getattr(self.view, "subject", "Other")]

    def get_summary(self) -> str | None:
        return self._docstring.partition("\n")[0] or None

    # drf-spectacular's own base takes no path and no method, other than what the stubs of DRF say.
    def get_description(self) -> str:  # type: ignore[override]
        return self._docstring.partition("\n")[2].strip()

    @property
    def _docstring(self) -> str:
        action: Any = getattr(self.view, self._action, None)
        return inspect.getdoc(action) or ""

    def get_operation_id(self) -> str:
        action = {"partial_update": "change", "destroy": "remove"}.get(self._action, self._action)
        return f"{self.get_tags()[0].lower().replace(' ', '_')}_{action}"

    def _is_list_view(self, serializer: Any = None) -> bool:
        return self._action == "list"

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        base: Any = super()
        schema = base._map_serializer(serializer, direction, bypass_extensions)
        shape: Any = serializer() if isinstance(serializer, type) else serializer
        if isinstance(shape, StrictSerializer) and not isinstance(shape, ListSerializer):
            schema["additionalProperties"] = False
        return schema


def only_management(endpoints: Iterable[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Preprocessing hook: the calls below our prefix."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIX)]


def add_refusals(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Postprocessing hook: what each call may be refused with, and nothing that only the generator reads."""
    result.setdefault("components", {}).setdefault("schemas", {})["Failure"] = FAILURE_SCHEMA
    for operations in result["paths"].values():
        for method, operation in operations.items():
            statuses = (*ALWAYS, *(WITH_A_BODY if method in WRITES else ()))
            for status in statuses:
                operation["responses"].setdefault(str(status), refusal(status))
    drop(result, "x-spec-enum-id")
    return result


def drop(node: Any, name: str) -> None:
    """Take a key out of a document, wherever it stands."""
    if isinstance(node, dict):
        node.pop(name, None)
        for inner in node.values():
            drop(inner, name)
    elif isinstance(node, list):
        for inner in node:
            drop(inner, name)
