"""Management paths: what lies below the data plane's mounts but is answered by the web process.

A gateway process that serves the data plane alone has no Django: it says where such a call belongs.
"""

# A path belongs to the web process if it is one of these or lies below one of them.
MANAGEMENT_PATHS = (
    "/v0/custom_api_key",
    "/v0/custom_endpoint",
    "/v0/endpoint-metrics",
    "/v0/metrics",
    "/v0/promo",
    "/v0/queries",
    "/v0/tags",
    "/v0/user/query-logging",
    "/v1/generation",
    "/v1/key",
)
NO_WEB_PROCESS = (
    "{call} is a management call, and this process serves completions and model lists alone. "
    "Send it to the web process (config.asgi), which FAREBOX_PUBLIC_URL leads to."
)


def is_management(path: str) -> bool:
    """Whether the web process answers this path."""
    return any(path == own or path.startswith(f"{own}/") for own in MANAGEMENT_PATHS)
