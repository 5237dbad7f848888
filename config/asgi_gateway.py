"""The data plane alone: `uvicorn config.asgi_gateway:application`.

For production behind a proxy that routes by path. Imports neither DRF, templates, admin nor
Celery, and never sets Django up.
"""

from config.env import gateway_settings, or_exit
from gateway.asgi import GatewayApplication

application = GatewayApplication(or_exit(gateway_settings))
