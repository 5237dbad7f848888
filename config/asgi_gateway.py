"""The data plane alone: `uvicorn config.asgi_gateway:application`.

For production behind a proxy that routes by path. Imports neither DRF, templates, admin nor
Celery, and never sets Django up.
"""

import logging.config

from config.env import gateway_settings, or_exit
from config.logs import logging_settings
from gateway.asgi import GatewayApplication

settings = or_exit(gateway_settings)
logging.config.dictConfig(logging_settings(settings.log_level))

application = GatewayApplication(settings)
