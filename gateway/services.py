"""Every write of the gateway's control plane: keys with their budgets, provider connections, models.

Each function is one transaction and takes keywords only. What the data plane must see bumps the
organization's epoch; the operator's rows are found by their `updated_at`. Who may call what is asked
at the door, in `accounts.tenancy`. What projects and organizations may spend: `gateway.limit_services`.
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_network

from django.conf import settings
from django.db import transaction

import accounts.services
from accounts.models import ApiKey, Organization, Person, Project
from accounts.services import bump_epoch, lock_organization
from accounts.vault import DataKey, Vault
from billing.models import Budget, LedgerTransfer
from billing.price_book import load_price_book
from billing.services import grant_promotion
from gateway import connection_rules
from gateway.connection_rules import WrongConnection
from gateway.egress import BaseUrlRefused, EgressPolicy, check_base_url
from gateway.endpoint_rows import connection_secret_context
from gateway.limit_services import set_plain_budget
from gateway.models import MAX_BASE_URL_CHARACTERS, CustomModel, ProviderConnection

STARTING_CREDIT = "Starting credit"


@dataclass(frozen=True, slots=True)
class Way:
    """How a provider is to be reached, checked and tidied."""

    provider: str
    base_url: str
    api_key: str = field(repr=False)


@transaction.atomic
def issue_key(
    *,
    organization: Organization,
    project: Project,
    person: Person | None,
    name: str,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    allowed_models: Sequence[str] | None = None,
    allowed_networks: Sequence[str] | None = None,
    default_tags: Sequence[str] = (),
    is_budget_clamped: bool = False,
    role: str = "",
    issuer_role: str | None = None,
    budget_usd: Decimal | None = None,
    budget_window: str = Budget.Window.MONTH,
    time_zone: str = "UTC",
) -> tuple[ApiKey, str]:
    """A new key with its budget, and its secret, which nothing can show a second time.

    The budget's periods follow the calendar of `time_zone`. Raises AccountsRefusal and BillingError.
    """
    lock_organization(organization.pk)
    key, secret = accounts.services.issue_key(
        organization=organization,
        project=project,
        created_by=person,
        name=name,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
        allowed_models=allowed_models,
        allowed_networks=allowed_networks,
        default_tags=default_tags,
        is_budget_clamped=is_budget_clamped,
        role=role,
        issuer_role=issuer_role,
    )
    _set_budget(key, amount_usd=budget_usd, window=budget_window, time_zone=time_zone)
    return key, secret


@transaction.atomic
def issue_first_key(
    *, organization: Organization, project: Project, person: Person, name: str
) -> tuple[ApiKey, str]:
    """A new organization's first key, with the credit that the operator starts everyone with.

    An organization gets it once, and so does a person, however many organizations they make.
    """
    lock_organization(organization.pk)
    if settings.FAREBOX_STARTING_CREDIT_USD:
        _grant_starting_credit(organization, person)
    return issue_key(organization=organization, project=project, person=person, name=name)


@transaction.atomic
def update_key(
    *,
    key: ApiKey,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent_requests: int | None,
    allowed_models: Sequence[str] | None,
    budget_usd: Decimal | None,
    budget_window: str,
    time_zone: str,
    is_budget_clamped: bool = False,
    is_calendar_kept: bool = True,
) -> None:
    """Replace what the key may do and spend; None lifts a limit. Raises AccountsRefusal and BillingError.

    Whether the budget keeps its calendar: `set_plain_budget`.
    """
    lock_organization(key.organization_id)
    accounts.services.update_key_limits(
        key=key,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
        allowed_models=allowed_models,
        is_budget_clamped=is_budget_clamped,
    )
    _set_budget(
        key,
        amount_usd=budget_usd,
        window=budget_window,
        time_zone=time_zone,
        is_calendar_kept=is_calendar_kept,
    )


@transaction.atomic
def connect_provider(
    *, organization: Organization | None, provider: str, base_url: str, api_key: str
) -> ProviderConnection:
    """Connect a provider, or replace the address and the key of the connection there is.

    Both are always given together: a stored key is never sent to an address that came later. An empty
    `base_url` is the provider's own; `organization` None makes it the operator's. Raises WrongConnection.
    """
    way = checked_way(organization=organization, provider=provider, base_url=base_url, api_key=api_key)
    connection, _ = ProviderConnection.objects.get_or_create(
        organization=organization, provider=way.provider, defaults={"encrypted_api_key": b""}
    )
    connection.base_url = way.base_url
    context = connection_secret_context(connection.pk)
    connection.encrypted_api_key = data_key_of(organization).encrypt(way.api_key.encode(), context=context)
    connection.api_key_tail = connection_rules.tail_of(way.api_key)
    connection.is_active = True
    connection.save()
    _announce(connection)
    return connection


def checked_way(*, organization: Organization | None, provider: str, base_url: str, api_key: str) -> Way:
    """What `connect_provider` would store of this; raises WrongConnection."""
    book = load_price_book()
    slug = connection_rules.checked_provider(provider, book=book, taken=_taken_names(organization))
    address = base_url.strip() or connection_rules.default_base_url(slug, book)
    return Way(
        provider=slug,
        base_url=checked_base_url(address, organization),
        api_key=connection_rules.checked_api_key(api_key, is_required=slug in book.providers),
    )


@transaction.atomic
def switch_connection(*, connection: ProviderConnection, is_active: bool) -> None:
    """Use the connection or leave it aside; its address, key and models stay."""
    connection.is_active = is_active
    connection.save(update_fields=["is_active", "updated_at"])
    _announce(connection)


@transaction.atomic
def place_connection(*, connection: ProviderConnection, region: str) -> None:
    """Say in which region the connection's endpoint is, for providers that bill regions differently."""
    connection.region = region
    connection.save(update_fields=["region", "updated_at"])
    _announce(connection)


@transaction.atomic
def disconnect_provider(*, connection: ProviderConnection) -> None:
    """Forget the address, the key and the models declared for it."""
    organization_id = connection.organization_id
    connection.delete()
    if organization_id is not None:
        bump_epoch(organization_id)


@transaction.atomic
def declare_model(
    *,
    connection: ProviderConnection,
    model: str,
    upstream_name: str,
    context_window_tokens: int,
    max_output_tokens: int,
    input_usd_per_million: Decimal,
    output_usd_per_million: Decimal,
) -> CustomModel:
    """State a model and its price, or correct what was stated; a price of 0 says that it is free.

    An empty `upstream_name` is the model's own. Raises WrongConnection.
    """
    require_declarable(connection)
    stated = connection_rules.checked_declaration(
        model=model,
        upstream_name=upstream_name,
        context_window_tokens=context_window_tokens,
        max_output_tokens=max_output_tokens,
        input_usd_per_million=input_usd_per_million,
        output_usd_per_million=output_usd_per_million,
    )
    declared, _ = CustomModel.objects.update_or_create(
        connection=connection, model=stated.model, defaults=asdict(stated)
    )
    _announce(connection)
    return declared


@transaction.atomic
def remove_model(*, model: CustomModel) -> None:
    """Take back a declared model; requests for it are refused from then on."""
    model.delete()
    _announce(model.connection)


def may_declare_models(connection: ProviderConnection) -> bool:
    """Whether the owner of this connection may state models and prices for it.

    An organization may only for its own endpoint: a price that it states for a provider of the book
    would also be the price of requests that the operator's credential pays for.
    """
    return connection.organization_id is None or connection.provider not in load_price_book().providers


def require_declarable(connection: ProviderConnection) -> None:
    """Raise WrongConnection unless models may be declared for it."""
    if not may_declare_models(connection):
        raise WrongConnection(
            f"The models of {connection.provider} and their prices are in the price book. Connect your own "
            f"deployment there as {connection_rules.OWN_ENDPOINT_PREFIX}{connection.provider} instead.",
            field="model",
        )


def _grant_starting_credit(organization: Organization, person: Person) -> None:
    """Under the organization's lock: two people who start at once do not both bring theirs."""
    granted = LedgerTransfer.objects.filter(organization=organization, kind=LedgerTransfer.Kind.PROMOTION)
    if granted.filter(description=STARTING_CREDIT).exists():
        return
    grant_promotion(
        organization=organization,
        amount_usd=Decimal(settings.FAREBOX_STARTING_CREDIT_USD),
        description=STARTING_CREDIT,
        id=uuid.uuid5(person.pk, STARTING_CREDIT),
    )


def _set_budget(
    key: ApiKey,
    *,
    amount_usd: Decimal | None,
    window: str,
    time_zone: str,
    is_calendar_kept: bool = True,
) -> None:
    set_plain_budget(
        organization=key.organization,
        scope=Budget.Scope.KEY,
        scope_id=key.pk,
        amount_usd=amount_usd,
        window=window,
        time_zone=time_zone,
        is_calendar_kept=is_calendar_kept,
    )


def _announce(connection: ProviderConnection) -> None:
    if connection.organization_id is not None:
        bump_epoch(connection.organization_id)
    else:
        connection.save(update_fields=["updated_at"])


def _taken_names(organization: Organization | None) -> frozenset[str]:
    """The operator's endpoints, which an organization's must not shadow."""
    if organization is None:
        return frozenset()
    operators = ProviderConnection.objects.filter(organization=None)
    return frozenset(operators.values_list("provider", flat=True))


def checked_base_url(text: str, organization: Organization | None) -> str:
    """The address of an endpoint of the owner's, tidied. Raises WrongConnection."""
    networks = settings.FAREBOX_GATEWAY.allowed_upstream_networks
    policy = EgressPolicy(
        is_guarded=organization is not None,
        allowed_networks=frozenset(ip_network(network) for network in networks),
    )
    try:
        base_url = check_base_url(text, policy=policy)
    except BaseUrlRefused as refusal:
        raise WrongConnection(str(refusal), field="base_url") from refusal
    if len(base_url) > MAX_BASE_URL_CHARACTERS:
        raise WrongConnection(
            f"The URL must not be longer than {MAX_BASE_URL_CHARACTERS} characters.", field="base_url"
        )
    return base_url


def data_key_of(organization: Organization | None) -> DataKey:
    """What seals the secrets of the owner, as `gateway.policy_rows` opens them."""
    vault = Vault(settings.FAREBOX_MASTER_KEY)
    if organization is None or not organization.encrypted_data_key:
        return vault.operator_key()
    return vault.unwrap(bytes(organization.encrypted_data_key), organization.pk)
