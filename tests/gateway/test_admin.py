"""The operator's admin of connections: writes keys, shows none, and sees no organization's."""

from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models import Person
from accounts.vault import Vault
from gateway.models import CustomModel, ProviderConnection
from gateway.policy_rows import connection_secret_context
from gateway.services import connect_provider, declare_model
from tests.people import Somebody, browser_of

LIST = "/admin/gateway/providerconnection/"
KEY = "sk-operator-0123456789"


@pytest.fixture
def operator(db: None) -> Client:
    return browser_of(Person.objects.create_superuser("operator@example.com"))


@pytest.fixture
def connection(db: None) -> ProviderConnection:
    return connect_provider(
        organization=None, provider="in-house", base_url="http://10.0.0.7:8080/v1", api_key=KEY
    )


def filled(*models: dict[str, object], initial: int = 0, **changes: object) -> dict[str, object]:
    """The form as a browser sends it."""
    form: dict[str, object] = {
        "provider": "in-house",
        "base_url": "http://10.0.0.7:8080/v1",
        "api_key": "",
        "is_active": "on",
        "custom_models-TOTAL_FORMS": len(models),
        "custom_models-INITIAL_FORMS": initial,
        **changes,
    }
    for number, model in enumerate(models):
        form |= {f"custom_models-{number}-{name}": value for name, value in model.items()}
    return form


def stated(**changes: object) -> dict[str, object]:
    return {
        "model": "tiny",
        "upstream_name": "",
        "context_window_tokens": 8_000,
        "max_output_tokens": 1_000,
        "input_usd_per_million": "0.25",
        "output_usd_per_million": "0",
        **changes,
    }


def change_page(connection: ProviderConnection) -> str:
    return reverse("admin:gateway_providerconnection_change", args=[connection.pk])


def stored_key(connection: ProviderConnection) -> str:
    sealed = bytes(ProviderConnection.objects.get(pk=connection.pk).encrypted_api_key)
    data_key = Vault(settings.FAREBOX_MASTER_KEY).operator_key()
    return data_key.decrypt(sealed, context=connection_secret_context(connection.pk)).decode()


def errors(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def test_the_operator_connects_a_provider_with_its_models(operator: Client) -> None:
    response = operator.post(f"{LIST}add/", filled(stated(), api_key=KEY))

    assert response.status_code == 302
    connection = ProviderConnection.objects.get()
    assert (connection.provider, connection.organization, connection.is_active) == ("in-house", None, True)
    assert stored_key(connection) == KEY
    model = CustomModel.objects.get()
    assert (model.connection, model.upstream_name) == (connection, "tiny")
    assert (model.input_usd_per_million, model.output_usd_per_million) == (Decimal("0.25"), Decimal(0))


def test_no_page_shows_a_key(operator: Client, connection: ProviderConnection) -> None:
    pages = [operator.get(page).content for page in (LIST, f"{LIST}add/", change_page(connection))]

    assert all(KEY.encode() not in page for page in pages)
    assert b"6789" in pages[0]


def test_switching_off_needs_no_key_and_keeps_it(operator: Client, connection: ProviderConnection) -> None:
    form = filled()
    del form["is_active"]

    assert operator.post(change_page(connection), form).status_code == 302

    changed = ProviderConnection.objects.get()
    assert not changed.is_active
    assert changed.updated_at > connection.updated_at
    assert stored_key(connection) == KEY


def test_a_stored_key_is_not_sent_to_another_address(
    operator: Client, connection: ProviderConnection
) -> None:
    elsewhere = {"base_url": "https://elsewhere.example.com/v1"}

    refused = operator.post(change_page(connection), filled(**elsewhere))
    accepted = operator.post(change_page(connection), filled(**elsewhere, api_key="sk-fresh-0123456"))

    assert "Enter the key again" in errors(refused)
    assert accepted.status_code == 302
    assert ProviderConnection.objects.get().base_url == "https://elsewhere.example.com/v1"
    assert stored_key(connection) == "sk-fresh-0123456"


def test_a_provider_is_connected_once(operator: Client, connection: ProviderConnection) -> None:
    refused = operator.post(f"{LIST}add/", filled(api_key="sk-second-0123456"))

    assert "connected already" in errors(refused)
    assert stored_key(connection) == KEY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "auto"}, "is taken"),
        ({"base_url": "nonsense"}, "must begin with https"),
        ({"api_key": "two words"}, "no spaces"),
        ({"provider": "openai", "base_url": ""}, "Give the key"),
    ],
)
def test_what_the_services_would_refuse_is_refused_in_the_form(
    operator: Client, changes: dict[str, str], words: str
) -> None:
    refused = operator.post(f"{LIST}add/", filled(**changes))

    assert refused.status_code == 200
    assert words in errors(refused)
    assert not ProviderConnection.objects.exists()


def test_models_are_corrected_renamed_and_removed(operator: Client, connection: ProviderConnection) -> None:
    price = {"input_usd_per_million": Decimal(1), "output_usd_per_million": Decimal(1)}
    size = {"context_window_tokens": 8_000, "max_output_tokens": 1_000}
    rows = [
        declare_model(connection=connection, model=name, upstream_name=name, **size, **price)
        for name in ("dear", "gone", "old-name")
    ]
    ids = [{"id": row.pk, "connection": connection.pk} for row in rows]
    form = filled(
        stated(model="dear", upstream_name="dear", **ids[0]),
        stated(model="gone", upstream_name="gone", **ids[1], DELETE="on"),
        stated(model="new-name", upstream_name="old-name", **ids[2]),
        initial=3,
    )

    assert operator.post(change_page(connection), form).status_code == 302

    kept = {row.model: row.input_usd_per_million for row in CustomModel.objects.all()}
    assert kept == {"dear": Decimal("0.25"), "new-name": Decimal("0.25")}


def test_a_model_without_a_price_is_refused(operator: Client, connection: ProviderConnection) -> None:
    refused = operator.post(change_page(connection), filled(stated(output_usd_per_million="")))

    assert refused.status_code == 200
    assert not CustomModel.objects.exists()


def test_deleting_forgets_the_key(operator: Client, connection: ProviderConnection) -> None:
    operator.post(f"{LIST}{connection.pk}/delete/", {"post": "yes"})

    assert not ProviderConnection.objects.exists()


def test_an_organizations_connection_is_its_own(operator: Client, alice: Somebody) -> None:
    own = connect_provider(
        organization=alice.organization,
        provider="custom",
        base_url="https://models.example.com/v1",
        api_key="sk-alice-0123456789",
    )

    assert b"models.example.com" not in operator.get(LIST).content
    assert operator.get(change_page(own)).status_code == 302


def test_who_is_not_an_operator_sees_none_of_it(alice: Somebody, connection: ProviderConnection) -> None:
    assert alice.browser.get(LIST).status_code in (302, 404)
