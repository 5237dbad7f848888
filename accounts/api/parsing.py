"""How the management API reads a body and chooses a form: JSON under a byte limit, JSON back."""

from typing import Any

from django.conf import settings
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from accounts.bodies import BoundedJSONParser


class ManagementParser(BoundedJSONParser):
    """Of at most `FAREBOX_MANAGEMENT_BODY_BYTES`."""

    @property
    def limit_bytes(self) -> int:
        return int(settings.FAREBOX_CONSOLE.management_body_bytes)


class JsonAlways(BaseContentNegotiation):
    """Whatever a client says it accepts, the answer is JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
