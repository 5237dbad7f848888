"""Pages and management routes of billing."""

from django.urls import path

from billing import views

urlpatterns = [
    path("o/<slug:slug>/ledger/", views.ledger, name="ledger"),
    path("o/<slug:slug>/ledger/months/", views.ledger_months, name="ledger_months"),
    path("o/<slug:slug>/ledger/<uuid:transfer_id>/", views.ledger_transfer, name="ledger_transfer"),
]
