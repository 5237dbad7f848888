"""Writes of keys as Unify's clients make them: stored under a name, listed masked, renamed, deleted.

A key under a provider's name is that provider's connection, and goes to its address alone. A key
under any other name goes wherever the organization's custom endpoints say.
"""

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Organization
from accounts.services import bump_epoch
from accounts.tenancy import scoped
from accounts.vault import DataKey
from billing.price_book import load_price_book
from gateway.connection_rules import WrongConnection
from gateway.endpoint_models import CustomEndpoint, ProviderKey
from gateway.endpoint_rows import provider_key_context
from gateway.endpoint_rules import checked_key_name, checked_value, masked, tail_of_value
from gateway.errors import CustomKeyNotFound
from gateway.models import ProviderConnection
from gateway.services import connect_provider, data_key_of, disconnect_provider

MAX_KEYS = 500


def key_names(organization: Organization) -> dict[str, str]:
    """The organization's keys by name, each masked."""
    connections = scoped(ProviderConnection.objects.exclude(api_key_tail=""), organization)
    keys = scoped(ProviderKey.objects.all(), organization)
    found = {each.provider: masked(each.api_key_tail) for each in connections}
    return dict(sorted({**{each.name: masked(each.tail) for each in keys}, **found}.items()))


def masked_key(organization: Organization, name: str, *, param: str = "name") -> str:
    """The key of this name, masked; raises CustomKeyNotFound."""
    found = key_names(organization).get(name.strip())
    if found is None:
        raise CustomKeyNotFound(param=param)
    return found


@transaction.atomic
def store_key(*, organization: Organization, name: str, value: str) -> bool:
    """Store a key, or replace the one of this name; whether it is another one. Raises WrongConnection."""
    tidy_name, tidy_value = checked_key_name(name), checked_value(value)
    connection = _connection(organization, tidy_name)
    if connection is not None or tidy_name in load_price_book().providers:
        base_url = connection.base_url if connection is not None else ""
        connect_provider(organization=organization, provider=tidy_name, base_url=base_url, api_key=tidy_value)
        return connection is None
    is_new = not _keys(organization, tidy_name).exists()
    if is_new and scoped(ProviderKey.objects.all(), organization).count() >= MAX_KEYS:
        raise WrongConnection(f"An organization can store {MAX_KEYS} keys; delete some first.", field="name")
    key, _ = ProviderKey.objects.get_or_create(
        organization=organization, name=tidy_name, defaults={"encrypted_value": b""}
    )
    sealed = data_key_of(organization).encrypt(tidy_value.encode(), context=provider_key_context(key.pk))
    key.encrypted_value, key.tail = sealed, tail_of_value(tidy_value)
    key.save()
    bump_epoch(organization.pk)
    return is_new


@transaction.atomic
def delete_key(*, organization: Organization, name: str) -> None:
    """Forget a key that no custom endpoint takes. Raises CustomKeyNotFound and WrongConnection."""
    masked_key(organization, name)
    tidy = name.strip()
    _require_unused(organization, tidy)
    connection = _connection(organization, tidy)
    if connection is not None:
        disconnect_provider(connection=connection)
        return
    _keys(organization, tidy).delete()
    bump_epoch(organization.pk)


@transaction.atomic
def rename_key(*, organization: Organization, name: str, new_name: str) -> None:
    """Call a key otherwise; the endpoints that take it still do.

    Raises CustomKeyNotFound and WrongConnection.
    """
    masked_key(organization, name)
    old, new = name.strip(), checked_key_name(new_name, field="new_name")
    if old == new:
        return
    if new in key_names(organization) or _connection(organization, new) is not None:
        raise WrongConnection(f"There is a key {new!r} already.", field="new_name")
    key = _keys(organization, old).select_for_update().first()
    if key is None:
        raise WrongConnection(
            f"{old!r} is the key of that provider, and is sent to its address alone. To use it elsewhere, "
            "store it anew under another name.",
            field="name",
        )
    if new in load_price_book().providers:
        _require_unused(organization, old)
        value = _opened(key, data_key_of(organization))
        connect_provider(organization=organization, provider=new, base_url="", api_key=value)
        key.delete()
        return
    key.name = new
    key.save(update_fields=["name", "updated_at"])
    scoped(CustomEndpoint.objects.filter(key_name=old), organization).update(key_name=new)
    bump_epoch(organization.pk)


def _require_unused(organization: Organization, name: str) -> None:
    takers = [str(each) for each in scoped(CustomEndpoint.objects.filter(key_name=name), organization)[:3]]
    if takers:
        raise WrongConnection(
            f"The key {name!r} is taken by {', '.join(takers)}; delete the endpoint first.", field="name"
        )


def _opened(key: ProviderKey, data_key: DataKey) -> str:
    return data_key.decrypt(bytes(key.encrypted_value), context=provider_key_context(key.pk)).decode()


def _connection(organization: Organization, name: str) -> ProviderConnection | None:
    return scoped(ProviderConnection.objects.filter(provider=name), organization).first()


def _keys(organization: Organization, name: str) -> QuerySet[ProviderKey]:
    return scoped(ProviderKey.objects.filter(name=name), organization)
