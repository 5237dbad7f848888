"""The data plane as one ASGI application: its paths, and its life from start to stop."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.cache_calls import ONE_PATH, SCOPE_PATH, CacheClearOne, CacheClearScope
from gateway.consumers import ChatCompletionConsumer, HttpConsumer, NotFoundConsumer
from gateway.explain import RouteExplain
from gateway.listing import (
    Credits,
    CreditsGranted,
    ModelDetail,
    ModelList,
    UnifyEndpointDetails,
    UnifyEndpoints,
    UnifyModels,
    UnifyProviders,
)
from gateway.management_paths import is_management
from gateway.operations import Liveness, Metrics, Readiness
from gateway.plane import Plane
from gateway.settings import GatewaySettings
from gateway.wire.dialect import DIALECTS

logger = logging.getLogger(__name__)

Application = Callable[[Any, Any, Any], Awaitable[None]]

MOUNTS = tuple(DIALECTS)
MODEL_LISTS = {"/v1/models": "/v1", "/openai/v1/models": "/openai/v1", "/api/v1/models": "/api/v1"}
CHAT_MODEL_LISTS = {"/api/v1/chat/models": "/api/v1", "/v1/chat/models": "/v1"}
UNIFY_LISTS: dict[str, type[HttpConsumer]] = {
    "/v0/models": UnifyModels,
    "/v0/providers": UnifyProviders,
    "/v0/endpoints": UnifyEndpoints,
    "/v0/endpoint-details": UnifyEndpointDetails,
    "/v0/credits": Credits,
}
V1_LISTS: dict[str, type[HttpConsumer]] = {"/v1/credits": CreditsGranted}
OPERATIONS: dict[str, type[HttpConsumer]] = {
    "/healthz": Liveness,
    "/readyz": Readiness,
    "/metrics": Metrics,
}
CACHE_CALLS: dict[str, type[HttpConsumer]] = {ONE_PATH: CacheClearOne, SCOPE_PATH: CacheClearScope}
MODEL_ID = "/{id}"
EXPLAIN = "/v0/route/explain"
UNIFY_MODELS = "/v0/models"
OWN_PREFIXES = tuple(f"{mount}/" for mount in MOUNTS)


class GatewayApplication:
    """Routes by path and method; a path that is not ours gets the fallback, or 404."""

    def __init__(self, settings: GatewaySettings, *, fallback: Application | None = None) -> None:
        self._settings = settings
        self._fallback = fallback
        self._plane: Plane | None = None
        self._routes = self._all_routes()
        self._not_found = NotFoundConsumer.as_asgi(self._running_plane)
        self._other_method = NotFoundConsumer.as_asgi(self._running_plane, is_known_path=True)
        self._no_web_process = NotFoundConsumer.as_asgi(self._running_plane, is_management=True)
        self._paths = {path for _, path in self._routes}

    @property
    def routes(self) -> frozenset[tuple[str, str]]:
        """Method and path of everything that is served here; `/{id}` stands for any name."""
        return frozenset(self._routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._application_for(scope)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._fallback is not None:
            await self._fallback(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4404})

    def _application_for(self, scope: Any) -> Application:
        path = scope["path"]
        application = self._routes.get((scope["method"], path)) or self._routes.get(
            (scope["method"], path.rstrip("/"))
        )
        if application is not None:
            return application
        for prefix in (*MODEL_LISTS, *CHAT_MODEL_LISTS, UNIFY_MODELS):
            if scope["method"] == "GET" and path.startswith(f"{prefix}/"):
                return self._routes["GET", prefix + MODEL_ID]
        for prefix in CACHE_CALLS:
            if path.startswith(f"{prefix}/"):
                is_clear = scope["method"] == "DELETE"
                return self._routes["DELETE", prefix + MODEL_ID] if is_clear else self._other_method
        if is_management(path):
            return self._fallback or self._no_web_process
        if path in self._paths:
            return self._other_method
        if self._fallback is None or path.startswith(OWN_PREFIXES):
            return self._not_found
        return self._fallback

    def _all_routes(self) -> dict[tuple[str, str], Application]:
        routes: dict[tuple[str, str], Application] = {}
        for mount in MOUNTS:
            routes["POST", f"{mount}/chat/completions"] = ChatCompletionConsumer.as_asgi(
                self._running_plane, mount=mount
            )
        for path, mount in (MODEL_LISTS | CHAT_MODEL_LISTS).items():
            routes["GET", path] = ModelList.as_asgi(self._running_plane, mount=mount)
            routes["GET", path + MODEL_ID] = ModelDetail.as_asgi(self._running_plane, mount=mount)
        routes["POST", EXPLAIN] = RouteExplain.as_asgi(self._running_plane, mount="/v0")
        for path, consumer in UNIFY_LISTS.items():
            routes["GET", path] = consumer.as_asgi(self._running_plane, mount="/v0")
        routes["GET", UNIFY_MODELS + MODEL_ID] = ModelDetail.as_asgi(self._running_plane, mount="/v0")
        for path, consumer in V1_LISTS.items():
            routes["GET", path] = consumer.as_asgi(self._running_plane, mount="/v1")
        for path, consumer in CACHE_CALLS.items():
            routes["DELETE", path + MODEL_ID] = consumer.as_asgi(self._running_plane, mount="/v1")
        for path, consumer in OPERATIONS.items():
            routes["GET", path] = consumer.as_asgi(self._running_plane)
        return routes

    def _running_plane(self) -> Plane:
        assert self._plane is not None, "the server announces its start before the first request"
        return self._plane

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._plane = Plane(self._settings)
                await self._plane.open()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._running_plane().close()
                await send({"type": "lifespan.shutdown.complete"})
                return
