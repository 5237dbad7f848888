"""Management calls as programs make them, through Django's door."""

import io
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.test import Client

from accounts.permissions import Role
from accounts.services import issue_key
from tests.people import Somebody


def key_of(somebody: Somebody, role: str = Role.OWNER) -> str:
    """A key of somebody's that may do in management calls what this role may."""
    _, secret = issue_key(
        organization=somebody.organization,
        project=somebody.project,
        created_by=somebody.person,
        name=f"Manages as {role or 'nobody'}",
        role=role,
        issuer_role=Role.OWNER,
    )
    return secret


class Caller:
    """Somebody's program with one key."""

    def __init__(self, key: str) -> None:
        self._headers = {"authorization": f"Bearer {key}"}
        self._client = Client()

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(path, query, headers=self._headers)

    def post(self, path: str, **body: Any) -> Any:
        return self._client.post(path, body, content_type="application/json", headers=self._headers)

    def delete(self, path: str, **body: Any) -> Any:
        return self._client.delete(path, body, content_type="application/json", headers=self._headers)


def in_chunks(token: str, method: str, path: str, content: bytes) -> Any:
    """The answer to a body whose length is not announced."""
    headers = {
        "host": "testserver",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "transfer-encoding": "chunked",
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5),
    }
    handler = BaseHandler()
    handler.load_middleware()
    return handler.get_response(ASGIRequest(scope, io.BytesIO(content)))
