"""Management calls: what the API's views that want a bearer key have in common."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.audit_log import record_action
from accounts.bodies import announce_body
from accounts.models import AuditEntry
from accounts.permissions import Action
from accounts.request_ids import shown_request_id
from accounts.tenancy import KeyBearer


class ManagementView(APIView):
    """One management call: a bearer key, its rights, and a request id on each answer."""

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        announce_body(request)
        return super().initialize_request(request, *args, **kwargs)

    @property
    def bearer(self) -> KeyBearer:
        """Whoever makes this call."""
        bearer = self.request.user
        assert isinstance(bearer, KeyBearer), "management views are for bearers of keys alone"
        return bearer

    def require(self, action: Action) -> None:
        """Raise PermissionDenied (403) unless the key's role allows the action."""
        self.bearer.require(action)

    def parameters(self, kind: type[Serializer[Any]]) -> dict[str, Any]:
        """The call's parameters, checked: from the query string, and from a JSON body, which wins.

        Raises ParseError and ValidationError.
        """
        serializer = kind(data=self.sent())
        serializer.is_valid(raise_exception=True)
        checked: dict[str, Any] = serializer.validated_data
        return checked

    def record(
        self, action: str, *, target: str, target_id: UUID | None = None, changed: Sequence[str] = ()
    ) -> None:
        """Leave the entry of a write in the audit log; call it within the write's transaction."""
        bearer = self.bearer
        record_action(
            organization=bearer.organization,
            person=bearer.api_key.created_by,
            via=AuditEntry.Via.KEY,
            credential=str(bearer.api_key),
            action=action,
            target=target,
            target_id=target_id,
            changed=changed,
        )

    def sent(self) -> dict[str, Any]:
        """The parameters as they were sent; of one that is repeated in the query string the last."""
        body = self.request.data
        if not isinstance(body, dict):
            raise ParseError("The body must be one JSON object.")
        return {**self.request.query_params.dict(), **body}

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer.headers["x-request-id"] = shown_request_id(request)
        return answer
