"""Management calls that clients written for other gateways make, below `/v0` and `/v1`.

`gateway.management_paths` hands them from the data plane to Django. A slash at the end is tolerated.
"""

from django.urls import re_path

from gateway import promo_api

urlpatterns = [
    re_path(r"^v0/promo/?$", promo_api.Promo.as_view(), name="v0_promo"),
]
