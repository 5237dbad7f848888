"""Everything on one port: `uvicorn config.asgi:application`.

The data plane's paths are answered before Django sees them; pages and WebSockets follow.
"""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

from config.env import gateway_settings, or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_asgi_application()

# Models may be imported only after Django has been set up above.
from analytics.routing import websocket_urlpatterns  # noqa: E402
from gateway.asgi import GatewayApplication  # noqa: E402

live = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
fallback: Any = ProtocolTypeRouter({"http": pages, "websocket": live})

application = GatewayApplication(or_exit(gateway_settings), fallback=fallback)
