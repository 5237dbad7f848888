"""Bodies of calls: strict JSON of bounded size and depth, read also where its length is not announced."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.utils.json import strict_constant


class BodyTooLarge(APIException):
    status_code = 413


class BoundedJSONParser(BaseParser):
    """As large and as deep as the gateway takes bodies. No body at all is an empty object."""

    media_type = "application/json"

    @property
    def limit_bytes(self) -> int:
        return int(settings.FAREBOX_GATEWAY.body_limit_bytes)

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        content = stream.read(self.limit_bytes + 1)
        if len(content) > self.limit_bytes:
            raise BodyTooLarge(f"The body must have at most {self.limit_bytes} bytes.")
        return _parsed(content) if content else {}


def announce_body(request: HttpRequest) -> None:
    """Have a body in chunks read: REST framework takes a missing Content-Length for no body."""
    # Any length will do, as the parser reads to its own limit; Django refuses a form that announces much.
    if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
        request.META["CONTENT_LENGTH"] = "1"


def _parsed(content: bytes) -> Any:
    depth_limit = settings.FAREBOX_GATEWAY.json_depth_limit
    too_deep = ParseError(f"The body is nested more than {depth_limit} levels deep.")
    try:
        document = json.loads(content.decode(), parse_constant=strict_constant)
    except RecursionError as exc:
        raise too_deep from exc
    except ValueError as exc:
        raise ParseError(f"The body is not valid JSON in UTF-8: {exc}.") from exc
    level = [document]
    for _ in range(depth_limit + 1):
        level = [value for container in level for value in _values(container)]
    if level:
        raise too_deep
    return document


def _values(container: Any) -> Any:
    if isinstance(container, dict):
        return container.values()
    return container if isinstance(container, list) else ()
