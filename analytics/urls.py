"""Pages of analytics."""

from django.urls import path

from analytics import request_views, session_views, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("o/<slug:slug>/", views.overview, name="overview"),
    path("o/<slug:slug>/requests/", request_views.requests, name="requests"),
    path("o/<slug:slug>/requests/sessions/", session_views.sessions, name="sessions"),
    path("o/<slug:slug>/requests/<uuid:event_id>/", request_views.request_detail, name="request"),
]
