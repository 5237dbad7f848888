"""Management calls that clients written for other gateways make, below `/v0` and `/v1`.

`gateway.management_paths` hands them from the data plane to Django. A slash at the end is tolerated.
"""

from django.urls import re_path

from gateway import (
    custom_endpoint_api,
    custom_key_api,
    endpoint_metric_api,
    generation_api,
    key_api,
    promo_api,
)

urlpatterns = [
    re_path(r"^v0/promo/?$", promo_api.Promo.as_view(), name="v0_promo"),
    re_path(r"^v0/custom_api_key/?$", custom_key_api.CustomApiKey.as_view(), name="v0_custom_api_key"),
    re_path(
        r"^v0/custom_api_key/rename/?$",
        custom_key_api.CustomApiKeyRename.as_view(),
        name="v0_custom_api_key_rename",
    ),
    re_path(
        r"^v0/custom_api_key/list/?$",
        custom_key_api.CustomApiKeyList.as_view(),
        name="v0_custom_api_key_list",
    ),
    re_path(r"^v0/custom_endpoint/?$", custom_endpoint_api.Endpoint.as_view(), name="v0_custom_endpoint"),
    re_path(
        r"^v0/custom_endpoint/rename/?$",
        custom_endpoint_api.EndpointRename.as_view(),
        name="v0_custom_endpoint_rename",
    ),
    re_path(
        r"^v0/custom_endpoint/list/?$",
        custom_endpoint_api.EndpointList.as_view(),
        name="v0_custom_endpoint_list",
    ),
    re_path(
        r"^v0/endpoint-metrics/?$", endpoint_metric_api.EndpointMetrics.as_view(), name="v0_endpoint_metrics"
    ),
    re_path(r"^v1/generation/?$", generation_api.Generation.as_view(), name="v1_generation"),
    re_path(r"^v1/key/?$", key_api.KeyInfo.as_view(), name="v1_key"),
]
