"""Organizations that the caller reaches, and what people did to one."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.fields import Flag, Moment, OneOf, QuerySerializer, StrictSerializer, Text
from accounts.api.views import ManagementView
from accounts.models import AuditEntry, ManagementToken, Membership, Person
from accounts.permissions import Action, Role
from accounts.rules import MAX_NAME_CHARACTERS
from accounts.trail_models import MAX_ACTION_CHARACTERS


class OrganizationOutput(serializers.Serializer[Any]):
    """An organization, as the caller's membership in it."""

    id = serializers.UUIDField(source="organization.pk")
    slug = Text(source="organization.slug", help_text="Its name in addresses; never changes.")
    name = Text(source="organization.name")
    role = OneOf(Role.choices, help_text="The caller's.")
    is_body_logging_on = Flag(
        source="organization.is_body_logging_on", help_text="Whether prompts and answers may be stored."
    )
    is_stream_cut_on_revocation = Flag(
        source="organization.is_stream_cut_on_revocation",
        help_text="Whether running streams of a key are cut when it is revoked.",
    )
    created_at = Moment(source="organization.created_at")


class OrganizationChange(StrictSerializer):
    name = Text(required=False, max_length=MAX_NAME_CHARACTERS)
    is_body_logging_on = Flag(required=False)
    is_stream_cut_on_revocation = Flag(required=False)


class AuditEntryOutput(serializers.Serializer[Any]):
    """One thing that somebody did."""

    id = serializers.UUIDField()
    created_at = Moment()
    actor = Text(help_text="Their e-mail address at the time.")
    via = OneOf(AuditEntry.Via.choices)
    credential = Text(help_text="The token or key that was used; empty for a browser.")
    action = Text(help_text="As in `key.create`.")
    target = Text(help_text="What it was called at the time.")
    target_id = serializers.UUIDField(allow_null=True)
    changed = serializers.ListField(child=Text(), help_text="The fields that were set.")


class AuditQuery(QuerySerializer):
    action = Text(required=False, max_length=MAX_ACTION_CHARACTERS, help_text="As in `key.create`.")
    target_id = serializers.UUIDField(required=False)


class OrganizationView(ManagementView):
    subject = "Organizations"
    serializer_class = OrganizationOutput
    queryset = Membership.objects.none()
    needs = {"partial_update": Action.MANAGE_ORGANIZATION}

    @extend_schema(responses=OrganizationOutput(many=True))
    def list(self, request: Request) -> Response:
        """The organizations of the caller; a token reaches one."""
        return self.page(self._memberships(), OrganizationOutput)

    @extend_schema(responses=OrganizationOutput)
    def retrieve(self, request: Request, slug: str) -> Response:
        """One organization."""
        return self._shown(slug)

    @extend_schema(request=OrganizationChange, responses=OrganizationOutput)
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change its name or a switch. Owners only."""
        given, organization = self.given(OrganizationChange), self.tenant.organization
        with transaction.atomic():
            if "name" in given:
                services.rename_organization(organization=organization, name=given["name"])
            if "is_body_logging_on" in given:
                services.set_body_logging(organization=organization, is_on=given["is_body_logging_on"])
            if "is_stream_cut_on_revocation" in given:
                services.set_stream_cut(organization=organization, is_on=given["is_stream_cut_on_revocation"])
            if given:
                self.record(
                    "organization.update",
                    target=organization.name,
                    target_id=organization.pk,
                    changed=list(given),
                )
        return self._shown(slug)

    def _shown(self, slug: str) -> Response:
        return Response(OrganizationOutput(self._memberships().get(organization__slug=slug)).data)

    def _memberships(self) -> QuerySet[Membership]:
        person, token = self.request.user, self.request.auth
        assert isinstance(person, Person)
        theirs = Membership.objects.select_related("organization").filter(person=person)
        return theirs.filter(pk=token.membership_id) if isinstance(token, ManagementToken) else theirs


class AuditView(ManagementView):
    subject = "Audit log"
    serializer_class = AuditEntryOutput
    queryset = AuditEntry.objects.none()
    needs = {"list": Action.MANAGE_MEMBERS}
    queries = {"list": AuditQuery}

    @extend_schema(responses=AuditEntryOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """Who did what by which way: by pages, the management API, or a call with an API key."""
        return self.page(self.tenant.audit_entries().filter(**self.query), AuditEntryOutput)
