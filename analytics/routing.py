"""Which WebSocket is at which path; `config.asgi` puts sessions and the origin check before them."""

from django.urls import path

from analytics.consumers import LiveConsumer

websocket_urlpatterns = [path("ws/o/<slug:slug>/live", LiveConsumer.as_asgi())]
