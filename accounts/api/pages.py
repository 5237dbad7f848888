"""Pages of rows by cursor: stable while rows come and go, since a page begins after a row, not a number."""

import base64
import binascii
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as InvalidKey
from django.db.models import Model, Q
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.failures import Refused

PAGE_PARAMETERS = ("limit", "cursor", "order")
NEWEST, OLDEST = "newest", "oldest"
DEFAULT_ROWS = 50
MAX_CURSOR_CHARACTERS = 200


class KeysetPagination(BasePagination):
    """`{"data": […], "next_cursor": …}`, newest first unless `order=oldest`; null at the end.

    The view may name its column of time as `moment_field`; rows of one moment are told apart by their id.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        field, key = getattr(view, "moment_field", "created_at"), getattr(view, "key_field", "pk")
        order, limit = order_of(request), limit_of(request)
        after = _after(request.query_params.get("cursor", ""), field, key, order)
        sign = "-" if order == NEWEST else ""
        try:
            rows = queryset.filter(after).order_by(f"{sign}{field}", f"{sign}{key}")
            found = list(rows[: limit + 1])
        except (InvalidKey, ValueError) as exc:
            raise _unreadable() from exc
        page = found[:limit]
        self.next_cursor = _mark(page[-1], field, key, order) if len(found) > limit else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Give it as `cursor` for the next page; null at the end.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        most = settings.FAREBOX_CONSOLE.management_page_rows
        return [
            {
                "name": "limit",
                "in": "query",
                "description": "Rows of a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": most,
                    "default": min(DEFAULT_ROWS, most),
                },
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "The `next_cursor` of the page before.",
                "schema": {"type": "string", "maxLength": MAX_CURSOR_CHARACTERS},
            },
            {
                "name": "order",
                "in": "query",
                "description": "Which rows come first.",
                "schema": {"type": "string", "enum": [NEWEST, OLDEST], "default": NEWEST},
            },
        ]


def limit_of(request: Request) -> int:
    """How many rows were asked for; raises Refused."""
    most = settings.FAREBOX_CONSOLE.management_page_rows
    text = request.query_params.get("limit")
    if text is None:
        return min(DEFAULT_ROWS, most)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Refused(f"limit must be a whole number between 1 and {most}.", param="limit")
    return int(text)


def order_of(request: Request) -> str:
    order = request.query_params.get("order", NEWEST)
    if order not in (NEWEST, OLDEST):
        raise Refused(f"order must be {NEWEST} or {OLDEST}.", param="order")
    return order


def _mark(row: Model, field: str, key: str, order: str) -> str:
    text = f"{order}~{getattr(row, field).isoformat()}~{getattr(row, key)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _after(cursor: str, field: str, key: str, order: str) -> Q:
    """What lies behind the row of the cursor."""
    if not cursor:
        return Q()
    try:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        marked_order, moment, identifier = text.split("~")
        at = datetime.fromisoformat(moment)
    except (ValueError, binascii.Error) as exc:
        raise _unreadable() from exc
    if at.tzinfo is None or marked_order != order or "\x00" in identifier:
        raise _unreadable()
    side = "lt" if order == NEWEST else "gt"
    return Q(**{f"{field}__{side}": at}) | Q(**{field: at, f"{key}__{side}": identifier})


def _unreadable() -> Refused:
    return Refused("cursor must be the next_cursor of a page in the same order.", param="cursor")
