"""Pages of people and organizations. Sign-in and its kin are django-allauth's, under /accounts/."""

from django.urls import path

from accounts import invitation_views, team_views, token_views, views

urlpatterns = [
    path("welcome/", views.welcome, name="welcome"),
    path("organizations/new/", views.organization_new, name="organization_new"),
    path("profile/", views.profile, name="profile"),
    path("invitations/", invitation_views.invitation_kept, name="invitation_kept"),
    path("invitations/<str:token>/", invitation_views.invitation, name="invitation"),
    path("o/<slug:slug>/team/", team_views.team, name="team"),
    path("o/<slug:slug>/team/leave/", team_views.leave, name="leave"),
    path("o/<slug:slug>/team/<uuid:person_id>/role/", team_views.member_role, name="member_role"),
    path("o/<slug:slug>/team/<uuid:person_id>/remove/", team_views.member_remove, name="member_remove"),
    path("o/<slug:slug>/team/invite/", team_views.member_invite, name="member_invite"),
    path(
        "o/<slug:slug>/team/invitations/<uuid:invitation_id>/revoke/",
        team_views.invitation_revoke,
        name="invitation_revoke",
    ),
    path("o/<slug:slug>/settings/", views.organization_settings, name="settings"),
    path("o/<slug:slug>/settings/tokens/", token_views.tokens, name="tokens"),
    path(
        "o/<slug:slug>/settings/tokens/<uuid:token_id>/revoke/", token_views.token_revoke, name="token_revoke"
    ),
    path("o/<slug:slug>/settings/name/", views.organization_name, name="settings_name"),
    path("o/<slug:slug>/settings/body-logging/", views.body_logging, name="settings_body_logging"),
    path("o/<slug:slug>/settings/stream-cut/", views.stream_cut, name="settings_stream_cut"),
]
