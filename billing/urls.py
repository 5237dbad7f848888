"""Pages and management routes of billing."""

from django.urls import path

from billing import ceiling_views, credit_views, invoice_views, test_checkout_views, views, webhook_views

urlpatterns = [
    path("o/<slug:slug>/ledger/", views.ledger, name="ledger"),
    path("o/<slug:slug>/ledger/months/", views.ledger_months, name="ledger_months"),
    path("o/<slug:slug>/ledger/<uuid:transfer_id>/", views.ledger_transfer, name="ledger_transfer"),
    path("o/<slug:slug>/settings/ceiling/", ceiling_views.price_ceiling, name="price_ceiling"),
    path("o/<slug:slug>/billing/", credit_views.billing, name="billing"),
    path("o/<slug:slug>/billing/top-up/", credit_views.top_up, name="top_up"),
    path("o/<slug:slug>/billing/payments/<uuid:payment_id>/", credit_views.payment, name="payment"),
    path("o/<slug:slug>/billing/card/forget/", credit_views.card_forget, name="card_forget"),
    path("o/<slug:slug>/billing/refill/", credit_views.refill, name="refill"),
    path("o/<slug:slug>/billing/refill/off/", credit_views.refill_off, name="refill_off"),
    path("o/<slug:slug>/billing/promotion/", credit_views.promotion, name="promotion"),
    path("o/<slug:slug>/billing/low-balance/", credit_views.low_balance, name="low_balance"),
    path("o/<slug:slug>/billing/invoice-details/", credit_views.invoice_head, name="invoice_head"),
    path("o/<slug:slug>/billing/invoices/", invoice_views.invoices, name="invoices"),
    path("o/<slug:slug>/billing/invoices/<uuid:invoice_id>/", invoice_views.invoice, name="invoice"),
    path(
        "o/<slug:slug>/billing/invoices/<uuid:invoice_id>/pdf/", invoice_views.invoice_pdf, name="invoice_pdf"
    ),
    path("payments/webhook/", webhook_views.payment_webhook, name="payment_webhook"),
    path("payments/test/<slug:ref>/", test_checkout_views.test_checkout, name="test_checkout"),
]
