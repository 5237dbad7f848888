"""`/v0/custom_endpoint`: an organization's own endpoints, as Unify's clients keep them.

Beyond Unify's parameters a price can be stated at once (`input_cost`, `output_cost`, USD per million
tokens): without one the endpoint answers only under a price ceiling of its owner.
"""

from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from gateway.endpoint_models import (
    MAX_BASE_URL_CHARACTERS,
    MAX_KEY_NAME_CHARACTERS,
    MAX_MODEL_CHARACTERS,
    MAX_PROVIDER_CHARACTERS,
    PRICE_DECIMALS,
    PRICE_DIGITS,
    CustomEndpoint,
)
from gateway.endpoint_services import (
    Costs,
    delete_endpoint,
    endpoint_named,
    endpoints_of,
    rename_endpoint,
    set_endpoint,
)

MAX_NAME_CHARACTERS = MAX_MODEL_CHARACTERS + MAX_PROVIDER_CHARACTERS + 1
NO_PRICE = (
    " It has no price yet, so it is called only under a price ceiling: state input_cost and output_cost "
    "here or by POST /v0/endpoint-metrics; 0 says that it is free."
)


class NameInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=MAX_NAME_CHARACTERS)


class SetInput(NameInput):
    url = serializers.CharField(max_length=MAX_BASE_URL_CHARACTERS, default="", allow_blank=True)
    key_name = serializers.CharField(max_length=MAX_KEY_NAME_CHARACTERS)
    model_arg = serializers.CharField(max_length=MAX_MODEL_CHARACTERS, default="", allow_blank=True)
    input_cost = serializers.DecimalField(PRICE_DIGITS, PRICE_DECIMALS, default=None, min_value=0)
    output_cost = serializers.DecimalField(PRICE_DIGITS, PRICE_DECIMALS, default=None, min_value=0)


class RenameInput(NameInput):
    new_name = serializers.CharField(max_length=MAX_NAME_CHARACTERS)


class Endpoint(ManagementView):
    """One endpoint: created or changed, forgotten."""

    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(SetInput)
        changed = given.keys() & self.sent().keys()
        costs = Costs(input_cost=given.pop("input_cost"), output_cost=given.pop("output_cost"))
        with transaction.atomic():
            endpoint = set_endpoint(organization=self.bearer.organization, costs=costs, **given)
            self.record("endpoint.set", target=endpoint.name, target_id=endpoint.pk, changed=list(changed))
        hint = "" if endpoint.has_price else NO_PRICE
        return Response({"info": f"Custom endpoint created successfully!{hint}"})

    def delete(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        name = self.parameters(NameInput)["name"]
        endpoint = endpoint_named(self.bearer.organization, name)
        with transaction.atomic():
            self.record("endpoint.remove", target=endpoint.name, target_id=endpoint.pk)
            delete_endpoint(endpoint=endpoint)
        return Response({"info": "Custom endpoint deleted successfully!"})


class EndpointRename(ManagementView):
    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(RenameInput)
        endpoint = endpoint_named(self.bearer.organization, given["name"])
        with transaction.atomic():
            rename_endpoint(endpoint=endpoint, new_name=given["new_name"])
            self.record("endpoint.update", target=endpoint.name, target_id=endpoint.pk, changed=["name"])
        return Response({"info": "Custom endpoint renamed successfully!"})


class EndpointList(ManagementView):
    def get(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        return Response([_shown(endpoint) for endpoint in endpoints_of(self.bearer.organization)])


def _shown(endpoint: CustomEndpoint) -> dict[str, str]:
    return {
        "name": endpoint.name,
        "model_arg": endpoint.upstream_name,
        "url": endpoint.base_url,
        "key": endpoint.key_name,
    }
