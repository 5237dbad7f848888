"""How the management API reads a body and chooses a form: JSON under a byte limit, JSON back."""

import io
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from accounts.api.failures import Refused


class BoundedJSONParser(JSONParser):
    """Strict JSON of at most `FAREBOX_MANAGEMENT_BODY_BYTES`."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit_bytes = settings.FAREBOX_CONSOLE.management_body_bytes
        content = stream.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise Refused(f"The body must have at most {limit_bytes} bytes.", status=413)
        try:
            return super().parse(io.BytesIO(content), media_type, parser_context)
        except RecursionError as exc:
            raise ParseError("The body is nested too deeply.") from exc
        except ParseError as exc:
            raise ParseError("The body is not valid JSON in UTF-8.") from exc


class JsonAlways(BaseContentNegotiation):
    """Whatever a client says it accepts, the answer is JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
