"""The writes of the control plane: what they store, seal, refuse and announce."""

from decimal import Decimal

import pytest
from django.conf import settings

from accounts.errors import AccountsRefusal
from accounts.models import ApiKey, OrganizationEpoch
from accounts.vault import SealBroken, Vault
from billing.errors import InvalidBudget
from billing.models import Budget
from gateway import services
from gateway.connection_rules import WrongConnection
from gateway.models import CustomModel, ProviderConnection
from gateway.policy_rows import connection_secret_context
from tests.people import Somebody

PRICED = {
    "context_window_tokens": 8_000,
    "max_output_tokens": 1_000,
    "input_usd_per_million": Decimal("0.25"),
    "output_usd_per_million": Decimal("1.5"),
}
UNLIMITED = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrent_requests": None,
    "allowed_models": None,
}


def epoch_of(somebody: Somebody) -> int:
    return OrganizationEpoch.objects.get(pk=somebody.organization.pk).epoch


def budgets_of(key: ApiKey) -> list[tuple[Decimal, str, str]]:
    rows = Budget.objects.filter(scope="key", scope_id=key.pk)
    return [(row.amount_usd, row.window, row.time_zone) for row in rows]


def connect_own(somebody: Somebody, provider: str = "my-models", **changes: str) -> ProviderConnection:
    given = {"base_url": "https://models.example.com/v1", "api_key": "sk-own-0123456789"} | changes
    return services.connect_provider(organization=somebody.organization, provider=provider, **given)


def connect_operators(
    provider: str = "fake", base_url: str = "http://127.0.0.1:8001/v1"
) -> ProviderConnection:
    return services.connect_provider(
        organization=None, provider=provider, base_url=base_url, api_key="sk-operator-0123"
    )


def opened(connection: ProviderConnection, somebody: Somebody | None) -> bytes:
    vault = Vault(settings.FAREBOX_MASTER_KEY)
    if somebody is None:
        data_key = vault.operator_key()
    else:
        organization = somebody.organization
        data_key = vault.unwrap(bytes(organization.encrypted_data_key), organization.pk)
    sealed = bytes(ProviderConnection.objects.get(pk=connection.pk).encrypted_api_key)
    return data_key.decrypt(sealed, context=connection_secret_context(connection.pk))


def test_a_key_comes_with_its_budget(alice: Somebody) -> None:
    key, secret = services.issue_key(
        organization=alice.organization,
        project=alice.project,
        person=alice.person,
        name="Crawler",
        requests_per_minute=60,
        budget_usd=Decimal("12.50"),
        budget_window="day",
        time_zone="Europe/Berlin",
    )

    assert secret.startswith("fbx_")
    assert (key.name, key.requests_per_minute, key.created_by) == ("Crawler", 60, alice.person)
    assert budgets_of(key) == [(Decimal("12.50"), "day", "Europe/Berlin")]


def test_a_key_without_a_budget_has_none(alice: Somebody) -> None:
    key, _ = services.issue_key(
        organization=alice.organization, project=alice.project, person=alice.person, name="Free hand"
    )

    assert budgets_of(key) == []


def test_a_refused_budget_leaves_no_key_behind(alice: Somebody) -> None:
    before = ApiKey.objects.count()

    with pytest.raises(InvalidBudget):
        services.issue_key(
            organization=alice.organization,
            project=alice.project,
            person=alice.person,
            name="Crawler",
            budget_usd=Decimal(1),
            budget_window="fortnight",
        )

    assert ApiKey.objects.count() == before


def test_a_key_is_not_put_into_another_organizations_project(alice: Somebody, charlie: Somebody) -> None:
    with pytest.raises(AccountsRefusal):
        services.issue_key(
            organization=alice.organization, project=charlie.project, person=alice.person, name="Cuckoo"
        )


def test_a_changed_amount_keeps_the_budget_and_its_calendar(alice: Somebody) -> None:
    services.update_key(
        key=alice.key_row,
        **UNLIMITED,
        budget_usd=Decimal(10),
        budget_window="month",
        time_zone="Europe/Berlin",
    )
    first = Budget.objects.get(scope_id=alice.key_row.pk)

    services.update_key(
        key=alice.key_row,
        **UNLIMITED,
        budget_usd=Decimal(20),
        budget_window="month",
        time_zone="Pacific/Kiritimati",
    )

    assert Budget.objects.get(scope_id=alice.key_row.pk).pk == first.pk
    assert budgets_of(alice.key_row) == [(Decimal(20), "month", "Europe/Berlin")]


def test_another_window_replaces_the_budget(alice: Somebody) -> None:
    for window in ("month", "week"):
        services.update_key(
            key=alice.key_row, **UNLIMITED, budget_usd=Decimal(10), budget_window=window, time_zone="UTC"
        )

    assert budgets_of(alice.key_row) == [(Decimal(10), "week", "UTC")]


def test_limits_and_budget_are_lifted_together(alice: Somebody) -> None:
    limited = UNLIMITED | {"requests_per_minute": 5, "allowed_models": ["fake/*"]}
    services.update_key(
        key=alice.key_row, **limited, budget_usd=Decimal(10), budget_window="total", time_zone="UTC"
    )
    before = epoch_of(alice)

    services.update_key(
        key=alice.key_row, **UNLIMITED, budget_usd=None, budget_window="total", time_zone="UTC"
    )

    stored = ApiKey.objects.get(pk=alice.key_row.pk)
    assert (stored.requests_per_minute, stored.allowed_models) == (None, None)
    assert budgets_of(stored) == []
    assert epoch_of(alice) > before


def test_an_organizations_key_is_sealed_for_it_alone(alice: Somebody, charlie: Somebody) -> None:
    connection = connect_own(alice)

    assert opened(connection, alice) == b"sk-own-0123456789"
    assert b"sk-own" not in bytes(connection.encrypted_api_key)
    assert connection.api_key_tail == "6789"
    for stranger in (charlie, None):
        with pytest.raises(SealBroken):
            opened(connection, stranger)


def test_the_operators_key_is_sealed_for_the_operator(alice: Somebody) -> None:
    connection = connect_operators()

    assert opened(connection, None) == b"sk-operator-0123"
    with pytest.raises(SealBroken):
        opened(connection, alice)


def test_connecting_again_replaces_address_and_key_together(alice: Somebody) -> None:
    first = connect_own(alice)
    services.declare_model(connection=first, model="tiny", upstream_name="", **PRICED)

    second = connect_own(alice, base_url="https://elsewhere.example.com/v1", api_key="sk-new-abcdefgh")

    assert second.pk == first.pk
    assert second.base_url == "https://elsewhere.example.com/v1"
    assert opened(second, alice) == b"sk-new-abcdefgh"
    assert second.custom_models.count() == 1


def test_an_own_endpoint_may_do_without_a_key(alice: Somebody) -> None:
    connection = connect_own(alice, api_key="")

    assert not connection.has_api_key
    assert opened(connection, alice) == b""


@pytest.mark.parametrize("short_key", ["x", "secret-key1"])
def test_a_short_key_shows_nothing_of_itself(alice: Somebody, short_key: str) -> None:
    connection = connect_own(alice, api_key=short_key)

    assert connection.api_key_tail == "****"
    assert connection.has_api_key


def test_an_empty_address_is_the_price_books(alice: Somebody) -> None:
    connection = services.connect_provider(
        organization=None, provider="fake", base_url="", api_key="simulator"
    )

    assert connection.base_url == "http://127.0.0.1:8001/v1"


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        ("My Models", "provider"),
        ("my--models", "provider"),
        ("models2", "provider"),
        ("", "provider"),
        ("auto", "provider"),
        ("lowest-cost", "provider"),
        ("ttft", "provider"),
        ("a" * 65, "provider"),
    ],
)
def test_names_that_mean_something_else_are_refused(alice: Somebody, provider: str, field: str) -> None:
    with pytest.raises(WrongConnection) as refused:
        connect_own(alice, provider)

    assert refused.value.field == field
    assert not ProviderConnection.objects.exists()


@pytest.mark.parametrize("provider", ["custom", "custom-fake", "custom-house", "my-models", "a" * 64])
def test_names_of_own_endpoints(alice: Somebody, provider: str) -> None:
    assert connect_own(alice, provider).provider == provider


def test_the_operators_endpoints_cannot_be_shadowed(alice: Somebody) -> None:
    connect_operators("in-house", base_url="http://10.0.0.7:8080/v1")

    with pytest.raises(WrongConnection, match="taken"):
        connect_own(alice, "in-house")


@pytest.mark.parametrize(
    "base_url",
    [
        "http://8.8.8.8/v1",
        "https://169.254.169.254/latest",
        "https://10.0.0.7/v1",
        "https://[::1]/v1",
        "https://user:pass@models.example.com/v1",
        "ftp://models.example.com/v1",
        "https://models.example.com/" + "a" * 500,
        "models.example.com",
    ],
)
def test_addresses_that_lead_inside_are_refused(alice: Somebody, base_url: str) -> None:
    with pytest.raises(WrongConnection) as refused:
        connect_own(alice, base_url=base_url)

    assert refused.value.field == "base_url"
    assert not ProviderConnection.objects.exists()


def test_the_operator_may_connect_a_private_address(db: None) -> None:
    assert connect_operators(base_url="http://10.0.0.7:9000/v1/").base_url == "http://10.0.0.7:9000/v1"


@pytest.mark.parametrize("api_key", ["two words", "line\nbreak", "schlüssel", "k" * 4_097])
def test_keys_that_no_header_can_carry_are_refused(alice: Somebody, api_key: str) -> None:
    with pytest.raises(WrongConnection) as refused:
        connect_own(alice, api_key=api_key)

    assert refused.value.field == "api_key"
    assert api_key not in str(refused.value)


def test_a_known_provider_needs_a_key(alice: Somebody) -> None:
    with pytest.raises(WrongConnection) as refused:
        connect_own(alice, "fake", api_key=" ")

    assert refused.value.field == "api_key"


def test_every_write_to_an_own_connection_is_announced(alice: Somebody) -> None:
    epochs = [epoch_of(alice)]
    connection = connect_own(alice)
    epochs.append(epoch_of(alice))
    model = services.declare_model(connection=connection, model="tiny", upstream_name="", **PRICED)
    epochs.append(epoch_of(alice))
    services.remove_model(model=model)
    epochs.append(epoch_of(alice))
    services.switch_connection(connection=connection, is_active=False)
    epochs.append(epoch_of(alice))
    services.disconnect_provider(connection=connection)
    epochs.append(epoch_of(alice))

    assert epochs == sorted(set(epochs))
    assert not ProviderConnection.objects.exists()


def test_every_write_to_an_operators_connection_moves_its_mark(db: None) -> None:
    connection = connect_operators()
    marks = [ProviderConnection.objects.get().updated_at]
    model = services.declare_model(connection=connection, model="tiny", upstream_name="", **PRICED)
    marks.append(ProviderConnection.objects.get().updated_at)
    services.remove_model(model=model)
    marks.append(ProviderConnection.objects.get().updated_at)
    services.switch_connection(connection=connection, is_active=False)
    marks.append(ProviderConnection.objects.get().updated_at)

    assert marks == sorted(set(marks))


def test_declaring_a_model_again_corrects_it(alice: Somebody) -> None:
    connection = connect_own(alice)
    services.declare_model(connection=connection, model="tiny", upstream_name="", **PRICED)

    services.declare_model(
        connection=connection,
        model="tiny",
        upstream_name="tiny-2026",
        **PRICED | {"input_usd_per_million": Decimal(0), "output_usd_per_million": Decimal(0)},
    )

    declared = CustomModel.objects.get()
    assert (declared.model, declared.upstream_name) == ("tiny", "tiny-2026")
    assert (declared.input_usd_per_million, declared.output_usd_per_million) == (Decimal(0), Decimal(0))


def test_an_organization_states_no_prices_for_a_provider_of_the_book(alice: Somebody) -> None:
    connection = connect_own(alice, "fake")

    with pytest.raises(WrongConnection, match="custom-fake"):
        services.declare_model(connection=connection, model="echo", upstream_name="", **PRICED)

    assert not services.may_declare_models(connection)
    assert services.may_declare_models(connect_own(alice, "custom-fake"))
    assert services.may_declare_models(connect_operators())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": ""}, "model"),
        ({"model": "two words"}, "model"),
        ({"model": "a->b"}, "model"),
        ({"model": "a|b"}, "model"),
        ({"model": "/a"}, "model"),
        ({"model": "a@"}, "model"),
        ({"upstream_name": "two words"}, "upstream_name"),
        ({"context_window_tokens": 0}, "context_window_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 8_001}, "max_output_tokens"),
        ({"input_usd_per_million": Decimal("-0.000001")}, "input_usd_per_million"),
        ({"input_usd_per_million": Decimal("0.0000001")}, "input_usd_per_million"),
        ({"output_usd_per_million": Decimal("100000.000001")}, "output_usd_per_million"),
        ({"output_usd_per_million": Decimal("NaN")}, "output_usd_per_million"),
    ],
)
def test_models_that_cannot_be_called_or_priced_are_refused(
    alice: Somebody, changes: dict[str, object], field: str
) -> None:
    connection = connect_own(alice)

    with pytest.raises(WrongConnection) as refused:
        services.declare_model(
            connection=connection, **{"model": "tiny", "upstream_name": ""} | PRICED | changes
        )

    assert refused.value.field == field
    assert not CustomModel.objects.exists()
