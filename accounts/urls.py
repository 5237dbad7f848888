"""Pages of people and organizations. Sign-in and its kin are django-allauth's, under /accounts/."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("welcome/", views.welcome, name="welcome"),
    path("organizations/new/", views.organization_new, name="organization_new"),
    path("profile/", views.profile, name="profile"),
    path("o/<slug:slug>/team/", views.team, name="team"),
    path("o/<slug:slug>/team/leave/", views.leave, name="leave"),
    path("o/<slug:slug>/team/<uuid:person_id>/role/", views.member_role, name="member_role"),
    path("o/<slug:slug>/team/<uuid:person_id>/remove/", views.member_remove, name="member_remove"),
    path("o/<slug:slug>/settings/", views.organization_settings, name="settings"),
    path("o/<slug:slug>/settings/name/", views.organization_name, name="settings_name"),
    path("o/<slug:slug>/settings/body-logging/", views.body_logging, name="settings_body_logging"),
    path("o/<slug:slug>/settings/stream-cut/", views.stream_cut, name="settings_stream_cut"),
]
