"""`/v0/custom_api_key`: an organization's keys for providers and endpoints, as Unify's clients keep them.

A stored key is never told again: what is shown is masked. `value` belongs into the body, since
addresses are written into logs; the query string is read for clients that know no other way.
"""

from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from gateway.connection_rules import MAX_API_KEY_CHARACTERS
from gateway.endpoint_models import MAX_KEY_NAME_CHARACTERS
from gateway.provider_key_services import delete_key, key_names, masked_key, rename_key, store_key


class NameInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=MAX_KEY_NAME_CHARACTERS)


class StoreInput(NameInput):
    value = serializers.CharField(max_length=MAX_API_KEY_CHARACTERS)


class RenameInput(NameInput):
    new_name = serializers.CharField(max_length=MAX_KEY_NAME_CHARACTERS)


class CustomApiKey(ManagementView):
    """One key: stored or replaced, shown masked, forgotten."""

    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(StoreInput)
        with transaction.atomic():
            is_new = store_key(organization=self.bearer.organization, **given)
            action = "provider_key.create" if is_new else "provider_key.update"
            self.record(action, target=given["name"], changed=["value"])
        return Response({"info": f"API key {'created' if is_new else 'replaced'} successfully!"})

    def get(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        name = self.parameters(NameInput)["name"]
        return Response({"name": name, "value": masked_key(self.bearer.organization, name)})

    def delete(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        name = self.parameters(NameInput)["name"]
        with transaction.atomic():
            delete_key(organization=self.bearer.organization, name=name)
            self.record("provider_key.remove", target=name)
        return Response({"info": "API key deleted successfully!"})


class CustomApiKeyRename(ManagementView):
    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(RenameInput)
        with transaction.atomic():
            rename_key(organization=self.bearer.organization, **given)
            self.record("provider_key.update", target=given["new_name"], changed=["name"])
        return Response({"info": "API key renamed successfully!"})


class CustomApiKeyList(ManagementView):
    def get(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        names = key_names(self.bearer.organization)
        return Response([{"name": name, "value": value} for name, value in names.items()])
