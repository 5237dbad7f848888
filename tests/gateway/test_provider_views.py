"""The page of own providers: what it stores, what it never shows, and who may use it."""

from decimal import Decimal

import pytest
from django.test import Client

from accounts.permissions import Role
from gateway.endpoint_services import Costs, set_endpoint
from gateway.models import CustomEndpoint, CustomModel, ProviderConnection
from gateway.provider_key_services import store_key
from gateway.services import connect_provider, declare_model
from tests.people import Somebody, teammate

PAGE = "/o/acme/providers/"
KEY = "sk-alice-0123456789"
PRICED = {
    "context_window_tokens": "8000",
    "max_output_tokens": "1000",
    "input_usd_per_million": "0.25",
    "output_usd_per_million": "0",
}


def own_endpoint(somebody: Somebody, provider: str = "in-house") -> ProviderConnection:
    return connect_provider(
        organization=somebody.organization,
        provider=provider,
        base_url="https://models.example.com/v1",
        api_key=KEY,
    )


def declared(connection: ProviderConnection, model: str = "tiny") -> CustomModel:
    return declare_model(
        connection=connection,
        model=model,
        upstream_name=model,
        context_window_tokens=8_000,
        max_output_tokens=1_000,
        input_usd_per_million=Decimal(1),
        output_usd_per_million=Decimal(2),
    )


def connect(somebody: Somebody, **fields: str):
    return somebody.browser.post(PAGE, {"provider": "openai", "api_key": KEY, **fields}, follow=True)


def notices(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_a_provider_of_the_book_takes_a_key_alone(alice: Somebody) -> None:
    page = connect(alice)

    assert notices(page) == ["OpenAI is connected and can be used within a second."]
    [row] = page.context["connections"]
    assert (row.name, row.provider) == ("OpenAI", "openai")
    assert row.base_url == "https://api.openai.com/v1"
    assert (row.has_key, row.key_tail, row.is_active) == (True, "6789", True)
    assert row.model_form is None


def test_an_endpoint_of_ones_own_has_a_name_and_models(alice: Somebody) -> None:
    page = connect(alice, provider="custom", name="in-house", base_url="https://models.example.com/v1/")

    [row] = page.context["connections"]
    assert (row.provider, row.base_url) == ("in-house", "https://models.example.com/v1")
    assert row.model_form is not None


def test_an_endpoint_without_a_name_is_custom(alice: Somebody) -> None:
    connect(alice, provider="custom", base_url="https://models.example.com/v1", api_key="")

    connection = ProviderConnection.objects.get()
    assert (connection.provider, connection.has_api_key) == ("custom", False)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": "openai", "api_key": ""}, "api_key"),
        ({"provider": "openai", "api_key": "two words"}, "api_key"),
        ({"provider": "openai", "name": "mine"}, "name"),
        ({"provider": "custom", "name": "Mine!"}, "name"),
        ({"provider": "custom", "name": "auto"}, "name"),
        ({"provider": "custom", "name": "mine"}, "base_url"),
        ({"provider": "custom", "base_url": "https://169.254.169.254/"}, "base_url"),
        ({"provider": "custom", "base_url": "https://a:b@models.example.com"}, "base_url"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(alice: Somebody, fields: dict[str, str], wrong: str) -> None:
    page = connect(alice, **fields)

    assert page.status_code == 200
    assert [*page.context["form"].errors] == [wrong]
    assert not ProviderConnection.objects.exists()


def test_a_stored_key_is_on_no_page_and_not_typed_back(alice: Somebody) -> None:
    refused = connect(alice, provider="custom", base_url="nonsense")
    connected = connect(alice)

    for page in (refused, connected, alice.browser.get(PAGE)):
        assert KEY not in page.content.decode()
        assert "no-store" in page.headers["Cache-Control"]


def test_a_model_is_declared_with_its_price(alice: Somebody) -> None:
    connection = own_endpoint(alice)

    page = alice.browser.post(f"{PAGE}{connection.pk}/models/", {"model": "tiny", **PRICED}, follow=True)

    assert notices(page) == ["tiny@in-house can be called within a second."]
    [row] = page.context["connections"][0].models
    assert (row.model, row.upstream_name, row.context_window_tokens) == ("tiny", "tiny", 8_000)
    assert (row.input_usd_per_million, row.output_usd_per_million) == (Decimal("0.25"), Decimal(0))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"input_usd_per_million": ""}, "input_usd_per_million"),
        ({"output_usd_per_million": "-1"}, "output_usd_per_million"),
        ({"output_usd_per_million": "0.0000001"}, "output_usd_per_million"),
        ({"max_output_tokens": "8001"}, "max_output_tokens"),
        ({"model": "a|b"}, "model"),
    ],
)
def test_a_wrong_model_comes_back_under_its_connection(
    alice: Somebody, fields: dict[str, str], wrong: str
) -> None:
    other, connection = own_endpoint(alice, "custom"), own_endpoint(alice)

    page = alice.browser.post(f"{PAGE}{connection.pk}/models/", {"model": "tiny", **PRICED, **fields})

    forms = {row.provider: row.model_form for row in page.context["connections"]}
    assert [*forms[connection.provider].errors] == [wrong]
    assert not forms[other.provider].is_bound
    assert not page.context["form"].is_bound
    assert not CustomModel.objects.exists()


def test_no_price_is_stated_for_a_provider_of_the_book(alice: Somebody) -> None:
    connect(alice)
    connection = ProviderConnection.objects.get()

    page = alice.browser.post(f"{PAGE}{connection.pk}/models/", {"model": "gpt-5", **PRICED})

    assert page.status_code == 200
    assert not CustomModel.objects.exists()


def test_models_and_connections_are_removed(alice: Somebody) -> None:
    connection = own_endpoint(alice)
    gone, kept = declared(connection, "gone"), declared(connection, "kept")

    alice.browser.post(f"{PAGE}{connection.pk}/models/{gone.pk}/delete/")
    assert [*CustomModel.objects.all()] == [kept]

    page = alice.browser.post(f"{PAGE}{connection.pk}/delete/", follow=True)
    assert notices(page)[-1] == "in-house is disconnected and its key forgotten."
    assert not ProviderConnection.objects.exists()


def test_what_the_operator_connected_is_named_without_its_address(alice: Somebody) -> None:
    connect_provider(
        organization=None, provider="fake", base_url="http://10.0.0.7:1234/v1", api_key="simulator"
    )

    page = alice.browser.get(PAGE)

    assert page.context["platform_providers"] == ["Simulator"]
    assert page.context["connections"] == []
    assert "10.0.0.7" not in page.content.decode()


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.BILLING, Role.VIEWER])
def test_other_roles_look_and_change_nothing(alice: Somebody, role: Role) -> None:
    connection = own_endpoint(alice)
    model = declared(connection)
    member = teammate("vera@example.com", of=alice, role=role)

    shown = member.browser.get(PAGE).context

    assert (shown["form"], shown["may_manage"], shown["connections"][0].model_form) == (None, False, None)
    for path in (
        "",
        f"{connection.pk}/delete/",
        f"{connection.pk}/models/",
        f"{connection.pk}/models/{model.pk}/delete/",
    ):
        assert member.browser.post(PAGE + path, {"provider": "openai", "api_key": KEY}).status_code == 403
    assert ProviderConnection.objects.count() == CustomModel.objects.count() == 1


def test_an_admin_may_manage_them(alice: Somebody) -> None:
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)

    assert connect(admin).context["may_manage"]
    assert ProviderConnection.objects.count() == 1


def test_a_stranger_meets_404_at_every_address(alice: Somebody, charlie: Somebody) -> None:
    connection = own_endpoint(alice)
    model = declared(connection)
    actions = (
        f"{connection.pk}/delete/",
        f"{connection.pk}/models/",
        f"{connection.pk}/models/{model.pk}/delete/",
    )

    assert charlie.browser.get(PAGE).status_code == 404
    for house in ("acme", charlie.organization.slug):
        for action in actions:
            path = f"/o/{house}/providers/{action}"
            assert charlie.browser.post(path, {"model": "tiny", **PRICED}).status_code == 404
    assert charlie.browser.post(PAGE, {"provider": "openai", "api_key": KEY}).status_code == 404
    assert [*ProviderConnection.objects.all()] == [connection]
    assert [*CustomModel.objects.all()] == [model]


def test_a_model_is_found_under_its_own_connection_only(alice: Somebody) -> None:
    model, other = declared(own_endpoint(alice)), own_endpoint(alice, "custom")

    assert alice.browser.post(f"{PAGE}{other.pk}/models/{model.pk}/delete/").status_code == 404
    assert CustomModel.objects.exists()


def test_the_operators_connections_cannot_be_managed_from_here(alice: Somebody) -> None:
    operators = connect_provider(
        organization=None, provider="fake", base_url="http://10.0.0.7:1234/v1", api_key="simulator"
    )

    assert alice.browser.post(f"{PAGE}{operators.pk}/delete/").status_code == 404
    assert ProviderConnection.objects.exists()


def test_who_is_not_signed_in_is_asked_to_sign_in(alice: Somebody) -> None:
    assert Client().get(PAGE).url == f"/accounts/login/?next={PAGE}"


def test_endpoints_made_by_api_are_shown_and_can_be_removed(alice: Somebody) -> None:
    store_key(organization=alice.organization, name="my_key", value=KEY)
    endpoint = set_endpoint(
        organization=alice.organization,
        name="mine@custom",
        url="https://models.example.com/v1",
        key_name="my_key",
        costs=Costs(input_cost=Decimal(3)),
    )

    page = alice.browser.get(PAGE).content.decode()
    viewer = teammate("vera@example.com", of=alice, role=Role.VIEWER).browser
    refused = viewer.post(f"{PAGE}endpoints/{endpoint.pk}/delete/")
    alice.browser.post(f"{PAGE}endpoints/{endpoint.pk}/delete/")

    assert "mine@custom" in page
    assert "not stated" in page
    assert KEY not in page
    assert refused.status_code == 403
    assert CustomEndpoint.objects.count() == 0
