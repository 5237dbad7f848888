"""Members of an organization, and invitations to it."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import invitations, services
from accounts.api.fields import Flag, FlagInQuery, Moment, OneOf, QuerySerializer, StrictSerializer, Text
from accounts.api.views import ManagementView
from accounts.audit_log import has_recorded
from accounts.invitation_mail import link_of, send_invitation
from accounts.models import Invitation, Membership
from accounts.permissions import Action, Role


class MemberOutput(serializers.Serializer[Any]):
    """A person in the organization."""

    id = serializers.UUIDField(source="person_id", help_text="The person's.")
    email = serializers.EmailField(source="person.email")
    name = Text(source="person.name", help_text="Empty: they have not told one.")
    role = OneOf(Role.choices)
    created_at = Moment(help_text="When they joined.")


class MemberChange(StrictSerializer):
    role = OneOf(Role.choices)


class RemovalQuery(QuerySerializer):
    revoke_keys = FlagInQuery(
        default=False, help_text="Whether the keys that they created are revoked with it."
    )


class InvitationOutput(serializers.Serializer[Any]):
    """A place that is kept for an address."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = OneOf(Role.choices)
    created_at = Moment()
    expires_at = Moment()


class NewInvitationOutput(InvitationOutput):
    """With the link, which is shown this once."""

    link = serializers.URLField(help_text="Leads the invited person in; nothing shows it again.")
    is_mailed = Flag(help_text="Whether a mail server took it.")


class InvitationInput(StrictSerializer):
    email = serializers.EmailField(max_length=254)
    role = OneOf(Role.choices)


class MemberView(ManagementView):
    subject = "Members"
    serializer_class = MemberOutput
    queryset = Membership.objects.none()
    needs = {"partial_update": Action.MANAGE_MEMBERS, "destroy": Action.MANAGE_MEMBERS}
    queries = {"destroy": RemovalQuery}

    @extend_schema(responses=MemberOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The members and their roles."""
        return self.page(self.tenant.memberships(), MemberOutput)

    @extend_schema(responses=MemberOutput)
    def retrieve(self, request: Request, slug: str, person_id: UUID) -> Response:
        """One member."""
        return Response(MemberOutput(self.tenant.membership(person_id)).data)

    @extend_schema(request=MemberChange, responses=MemberOutput)
    def partial_update(self, request: Request, slug: str, person_id: UUID) -> Response:
        """Give a member another role: none beyond the caller's own, and an owner remains."""
        membership, role = self.tenant.membership(person_id), self.given(MemberChange)["role"]
        with transaction.atomic():
            services.change_role(actor_role=self.tenant.role, membership=membership, role=role)
            self.record(
                "member.update", target=membership.person.email, target_id=person_id, changed=["role"]
            )
        return Response(MemberOutput(self.tenant.membership(person_id)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, slug: str, person_id: UUID) -> Response:
        """End a membership. Again: 204, as nothing is left to do."""
        organization = self.tenant.organization
        try:
            membership = self.tenant.membership(person_id)
        except Http404:
            if has_recorded(organization, action="member.remove", target_id=person_id):
                return Response(status=204)
            raise
        are_keys_revoked = self.query["revoke_keys"]
        with transaction.atomic():
            services.remove_member(
                actor_role=self.tenant.role, membership=membership, are_keys_revoked=are_keys_revoked
            )
            self.record(
                "member.remove",
                target=membership.person.email,
                target_id=person_id,
                changed=["revoke_keys"] if are_keys_revoked else (),
            )
        return Response(status=204)


class InvitationView(ManagementView):
    subject = "Invitations"
    serializer_class = InvitationOutput
    queryset = Invitation.objects.none()
    needs = dict.fromkeys(("list", "create", "retrieve", "destroy"), Action.MANAGE_MEMBERS)

    @extend_schema(responses=InvitationOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The invitations that can be accepted."""
        return self.page(self.tenant.invitations(), InvitationOutput)

    @extend_schema(request=InvitationInput, responses={201: NewInvitationOutput})
    def create(self, request: Request, slug: str) -> Response:
        """Invite somebody, by mail; the link is in this answer once. Replaces an open one of theirs."""
        with transaction.atomic():
            invitation, token = invitations.invite_member(
                organization=self.tenant.organization,
                invited_by=self.tenant.person,
                **self.given(InvitationInput),
            )
            self.record("invitation.create", target=invitation.email, target_id=invitation.pk)
        link = link_of(token)
        is_mailed = send_invitation(invitation, link=link)
        told = {**InvitationOutput(invitation).data, "link": link, "is_mailed": is_mailed}
        return Response(told, status=201)

    @extend_schema(responses=InvitationOutput)
    def retrieve(self, request: Request, slug: str, invitation_id: UUID) -> Response:
        """One invitation that can be accepted."""
        return Response(InvitationOutput(self.tenant.invitation(invitation_id)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, slug: str, invitation_id: UUID) -> Response:
        """Revoke an invitation. Again: 204, as nothing is left to do."""
        try:
            invitation = self.tenant.invitation(invitation_id)
        except Http404:
            organization = self.tenant.organization
            if has_recorded(organization, action="invitation.revoke", target_id=invitation_id):
                return Response(status=204)
            raise
        with transaction.atomic():
            invitations.revoke_invitation(invitation=invitation, revoked_by=self.tenant.person)
            self.record("invitation.revoke", target=invitation.email, target_id=invitation_id)
        return Response(status=204)
