"""Where an organization's alerts are posted: its webhook, with a secret that is shown once."""

from ipaddress import ip_network

from django.conf import settings
from django.db import transaction

from accounts.models import Organization
from accounts.vault import DataKey, Vault
from gateway.alert_models import MAX_WEBHOOK_URL_CHARACTERS, AlertWebhook
from gateway.egress import BaseUrlRefused, EgressPolicy, check_base_url
from gateway.webhooks import new_secret


class WrongWebhook(Exception):
    """The address cannot be used; the message says what is allowed."""


@transaction.atomic
def set_webhook(*, organization: Organization, url: str) -> str:
    """Post alerts there from now on, and give the secret that signs them. Raises WrongWebhook."""
    try:
        address = check_base_url(url.strip(), policy=webhook_policy())
    except BaseUrlRefused as refusal:
        raise WrongWebhook(str(refusal)) from refusal
    if len(address) > MAX_WEBHOOK_URL_CHARACTERS:
        raise WrongWebhook(f"The URL must not be longer than {MAX_WEBHOOK_URL_CHARACTERS} characters.")
    secret = new_secret()
    sealed = _data_key(organization).encrypt(secret.encode(), context=_context(organization))
    AlertWebhook.objects.update_or_create(
        organization=organization, defaults={"url": address, "encrypted_secret": sealed}
    )
    return secret


@transaction.atomic
def remove_webhook(*, organization: Organization) -> None:
    """Post no alerts any more."""
    AlertWebhook.objects.filter(organization=organization).delete()


def webhook_of(organization: Organization) -> dict[str, str]:
    """What the form of the webhook shows at first."""
    webhook = AlertWebhook.objects.filter(organization=organization).first()
    return {"url": webhook.url if webhook else ""}


def secret_of(webhook: AlertWebhook) -> str:
    """The secret that signs what is posted there."""
    organization = webhook.organization
    sealed = bytes(webhook.encrypted_secret)
    return _data_key(organization).decrypt(sealed, context=_context(organization)).decode()


def webhook_policy() -> EgressPolicy:
    """What a webhook may connect to: what custom endpoints may."""
    networks = settings.FAREBOX_GATEWAY.allowed_upstream_networks
    return EgressPolicy(is_guarded=True, allowed_networks=frozenset(map(ip_network, networks)))


def _context(organization: Organization) -> str:
    return f"alert-webhook:{organization.pk}"


def _data_key(organization: Organization) -> DataKey:
    vault = Vault(settings.FAREBOX_MASTER_KEY)
    if not organization.encrypted_data_key:
        return vault.operator_key()
    return vault.unwrap(bytes(organization.encrypted_data_key), organization.pk)
