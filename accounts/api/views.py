"""What all calls of the management API share: the organization of the address, the right, the audit entry.

Strangers get 404, whoever lacks a right or a scope 403. A view calls one service or selector.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404, HttpRequest
from rest_framework import viewsets
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.authentication import BrowserAuthentication, ManagementTokenAuthentication
from accounts.api.failures import Refused, answer_of
from accounts.api.fields import QuerySerializer
from accounts.api.pages import PAGE_PARAMETERS, KeysetPagination
from accounts.api.parsing import JsonAlways, ManagementParser
from accounts.api.throttling import ManagementThrottle
from accounts.audit_log import record_action
from accounts.bodies import announce_body
from accounts.models import AuditEntry, ManagementToken, Organization
from accounts.permissions import Action
from accounts.request_ids import shown_request_id
from accounts.services import lock_organization
from accounts.tenancy import Tenant, find_tenant

# What views answer; a name of its own, as `list` is an action of theirs.
Rows = list[dict[str, Any]]


class ManagementView(viewsets.GenericViewSet[Any]):
    """`needs` names the right that each of its actions takes; without one, every member may.

    `queries` says which parameters an action reads from the address; any other is refused. `subject` is
    the section of the reference that it stands in.
    """

    authentication_classes = (ManagementTokenAuthentication, BrowserAuthentication)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (ManagementThrottle,)
    parser_classes = (ManagementParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonAlways
    pagination_class: type[KeysetPagination] | None = KeysetPagination
    metadata_class = None

    subject: ClassVar[str] = ""
    needs: ClassVar[Mapping[str, Action]] = {}
    queries: ClassVar[Mapping[str, type[QuerySerializer]]] = {}
    tenant: Tenant
    query: Mapping[str, Any]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        announce_body(request)
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if "slug" in kwargs:
            self.tenant = self._tenant(request, kwargs["slug"])
        token = request.auth
        is_reading = request.method in SAFE_METHODS
        if isinstance(token, ManagementToken) and token.scope != token.Scope.WRITE and not is_reading:
            raise Refused("This token may only read; create one with the scope write.", status=403)
        needed = self.needs.get(self.action or "")
        if needed is not None:
            self.tenant.require(needed)
        beside = PAGE_PARAMETERS if self.action == "list" else ()
        self.query = self.queries.get(self.action or "", QuerySerializer).read(
            request.query_params, beside=beside
        )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers["x-request-id"] = shown_request_id(request)
        return answer

    def get_exception_handler(self) -> Any:
        return answer_of

    def given(self, serializer_class: type[Any] | None = None) -> dict[str, Any]:
        """The checked body; raises ValidationError."""
        serializer = (serializer_class or self.get_serializer_class())(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def lock(self) -> Organization:
        """The organization as it stands. Read after this what a change keeps, in the change's transaction."""
        return lock_organization(self.tenant.organization.pk)

    def page(self, rows: Any, serializer_class: type[Any], **context: Any) -> Response:
        """One page of the rows, in their form of output."""
        found = self.paginate_queryset(rows) or []
        return self.get_paginated_response(serializer_class(found, many=True, context=context).data)

    def record(
        self, action: str, *, target: str, target_id: UUID | None, changed: Sequence[str] = ()
    ) -> None:
        """Leave the entry of a write in the audit log; call it within the write's transaction."""
        token = self.request.auth
        by_token = isinstance(token, ManagementToken)
        record_action(
            organization=self.tenant.organization,
            person=self.tenant.person,
            via=AuditEntry.Via.API,
            credential=str(token) if by_token else "",
            action=action,
            target=target,
            target_id=target_id,
            changed=changed,
        )

    def _tenant(self, request: Request, slug: str) -> Tenant:
        """The caller's place in the organization; a token has one in its own alone."""
        token = request.auth
        if isinstance(token, ManagementToken) and token.membership.organization.slug != slug:
            raise Http404
        tenant = find_tenant(request.user, slug)
        if tenant is None:
            raise Http404
        return tenant
