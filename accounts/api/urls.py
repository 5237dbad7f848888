"""The management API's addresses of organizations, members, invitations and the audit log."""

from django.urls import path

from accounts.api.members import InvitationView, MemberView
from accounts.api.organizations import AuditView, OrganizationView

OF_ORGANIZATION = "organizations/<slug:slug>"

urlpatterns = [
    path("organizations", OrganizationView.as_view({"get": "list"}), name="api_organizations"),
    path(
        OF_ORGANIZATION,
        OrganizationView.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_organization",
    ),
    path(f"{OF_ORGANIZATION}/members", MemberView.as_view({"get": "list"}), name="api_members"),
    path(
        f"{OF_ORGANIZATION}/members/<uuid:person_id>",
        MemberView.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_member",
    ),
    path(
        f"{OF_ORGANIZATION}/invitations",
        InvitationView.as_view({"get": "list", "post": "create"}),
        name="api_invitations",
    ),
    path(
        f"{OF_ORGANIZATION}/invitations/<uuid:invitation_id>",
        InvitationView.as_view({"get": "retrieve", "delete": "destroy"}),
        name="api_invitation",
    ),
    path(f"{OF_ORGANIZATION}/audit", AuditView.as_view({"get": "list"}), name="api_audit"),
]
