"""How the parts are put together: environment, settings, ASGI, Celery and the supervisor."""
