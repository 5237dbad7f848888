"""Keys, endpoints and metrics of an organization's own, as Unify's clients keep them: `/v0/custom_…`."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts.models import AuditEntry
from accounts.permissions import Role
from accounts.vault import Vault
from gateway.models import CustomEndpoint, ProviderConnection, ProviderKey
from gateway.services import connect_provider
from tests.gateway.management_calls import Caller, key_of

pytestmark = pytest.mark.django_db

KEY, ENDPOINT, METRICS = "/v0/custom_api_key", "/v0/custom_endpoint", "/v0/endpoint-metrics"
VALUE = "sk-canary-0123456789-tail"


@pytest.fixture
def own(alice):
    return Caller(key_of(alice))


@pytest.fixture
def strange(charlie):
    return Caller(key_of(charlie))


def endpoint(caller, name="mine@custom", **changes):
    return caller.post(
        ENDPOINT, **{"name": name, "url": "http://127.0.0.1:9/v1", "key_name": "my_key", **changes}
    )


def faults(answer):
    return answer.status_code, answer.json()["error"]["param"]


def test_a_key_is_stored_sealed_and_shown_masked(alice, own):
    stored = own.post(KEY, name="my_key", value=VALUE)
    again = own.post(KEY, name="my_key", value="1234")

    assert (stored.status_code, stored.json()) == (200, {"info": "API key created successfully!"})
    assert again.json() == {"info": "API key replaced successfully!"}
    assert own.get(KEY, name="my_key").json() == {"name": "my_key", "value": "****1234"}
    own.post(KEY, name="my_key", value=VALUE)
    assert own.get(f"{KEY}/list").json() == [{"name": "my_key", "value": "****tail"}]
    sealed = bytes(ProviderKey.objects.get().encrypted_value)
    assert VALUE.encode() not in sealed


def test_a_key_may_come_in_the_query_string_as_unifys_clients_send_it(alice):
    headers = {"authorization": f"Bearer {key_of(alice)}"}
    query = {"name": "my_key", "value": VALUE}

    answer = Client().post(f"{KEY}/", query_params=query, content_type="application/json", headers=headers)

    assert answer.status_code == 200
    assert ProviderKey.objects.get().tail == "tail"


def test_a_key_under_a_providers_name_is_that_providers_connection(alice, own):
    own.post(KEY, name="openai", value=VALUE)
    connection = ProviderConnection.objects.get(organization=alice.organization)

    assert (connection.provider, connection.base_url) == ("openai", "https://api.openai.com/v1")
    assert (connection.api_key_tail, ProviderKey.objects.count()) == ("tail", 0)
    assert own.get(KEY, name="openai").json()["value"] == "****tail"


def test_a_key_that_is_replaced_stays_at_the_address_its_owner_gave(alice, own):
    connect_provider(
        organization=alice.organization, provider="openai", base_url="http://127.0.0.1:9/v1", api_key="one"
    )

    own.post(KEY, name="openai", value=VALUE)

    connection = ProviderConnection.objects.get(organization=alice.organization)
    assert (connection.base_url, connection.api_key_tail) == ("http://127.0.0.1:9/v1", "tail")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"value": VALUE}, "name"),
        ({"name": "", "value": VALUE}, "name"),
        ({"name": "x" * 65, "value": VALUE}, "name"),
        ({"name": "my_key"}, "value"),
        ({"name": "my_key", "value": "with space"}, "value"),
        ({"name": "my_key", "value": "x" * 4097}, "value"),
        ({"name": ["a"], "value": VALUE}, "name"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_by_the_field(own, given, param):
    assert faults(own.post(KEY, **given)) == (400, param)
    assert ProviderKey.objects.count() == 0


def test_a_key_that_is_not_there_is_404(own):
    answers = [
        own.get(KEY, name="nobody"),
        own.delete(KEY, name="nobody"),
        own.post(f"{KEY}/rename", name="nobody", new_name="somebody"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["detail"] for answer in answers} == {"Custom API Key not found."}
    assert answers[0].json()["error"]["code"] == "custom_key_not_found"


def test_a_renamed_key_is_still_its_endpoints(own):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)

    renamed = own.post(f"{KEY}/rename", name="my_key", new_name="other")

    assert renamed.json() == {"info": "API key renamed successfully!"}
    assert own.get(f"{ENDPOINT}/list").json()[0]["key"] == "other"
    assert own.get(KEY, name="my_key").status_code == 404


def test_a_key_takes_no_name_that_another_one_has(own):
    own.post(KEY, name="one", value=VALUE)
    own.post(KEY, name="two", value=VALUE)

    assert faults(own.post(f"{KEY}/rename", name="one", new_name="two")) == (400, "new_name")


def test_a_providers_key_gets_no_name_under_which_it_could_be_sent_elsewhere(own):
    own.post(KEY, name="openai", value=VALUE)

    renamed = own.post(f"{KEY}/rename", name="openai", new_name="free")
    elsewhere = endpoint(own, key_name="openai")
    at_home = endpoint(own, name="tuned@custom-openai", url="", key_name="openai")

    assert faults(renamed) == (400, "name")
    assert faults(elsewhere) == (400, "key_name")
    assert "https://api.openai.com/v1 alone" in elsewhere.json()["error"]["message"]
    assert at_home.status_code == 200
    assert CustomEndpoint.objects.get().base_url == "https://api.openai.com/v1"


def test_a_free_key_becomes_a_providers_and_is_then_sent_there(alice, own):
    own.post(KEY, name="free", value=VALUE)

    assert own.post(f"{KEY}/rename", name="free", new_name="openai").status_code == 200

    connection = ProviderConnection.objects.get(organization=alice.organization)
    assert (connection.provider, connection.api_key_tail) == ("openai", "tail")
    assert ProviderKey.objects.count() == 0


def test_a_key_that_an_endpoint_takes_is_not_deleted_before_it(own):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)

    refused = own.delete(KEY, name="my_key")
    own.delete(ENDPOINT, name="mine@custom")

    assert faults(refused) == (400, "name")
    assert "mine@custom" in refused.json()["error"]["message"]
    assert own.delete(KEY, name="my_key").json() == {"info": "API key deleted successfully!"}
    assert own.get(f"{KEY}/list").json() == []


def test_an_endpoint_is_created_listed_renamed_and_deleted(own):
    own.post(KEY, name="my_key", value=VALUE)

    created = endpoint(own, url="http://127.0.0.1:9/v1/chat/completions", input_cost="1", output_cost="2.5")
    listed = own.get(f"{ENDPOINT}/list").json()
    renamed = own.post(f"{ENDPOINT}/rename", name="mine@custom", new_name="yours@custom-mistral")
    deleted = own.delete(ENDPOINT, name="yours@custom-mistral")

    assert created.json() == {"info": "Custom endpoint created successfully!"}
    assert listed == [
        {"name": "mine@custom", "model_arg": "mine", "url": "http://127.0.0.1:9/v1", "key": "my_key"}
    ]
    assert renamed.json() == {"info": "Custom endpoint renamed successfully!"}
    assert deleted.json() == {"info": "Custom endpoint deleted successfully!"}
    assert own.get(f"{ENDPOINT}/list").json() == []


def test_an_endpoint_without_a_price_says_what_it_lacks(own):
    own.post(KEY, name="my_key", value=VALUE)

    assert "It has no price yet" in endpoint(own).json()["info"]
    assert "It has no price yet" in endpoint(own, input_cost="1").json()["info"]
    assert endpoint(own, output_cost="0").json()["info"] == "Custom endpoint created successfully!"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": "mine"}, "name"),
        ({"name": "@custom"}, "name"),
        ({"name": "mine@openai"}, "name"),
        ({"name": "mine@custom-nobody"}, "name"),
        ({"name": "a->b@custom"}, "name"),
        ({"name": "a|b@custom"}, "name"),
        ({"url": ""}, "url"),
        ({"url": "ftp://127.0.0.1/v1"}, "url"),
        ({"url": "https://user@example.com/v1"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://10.0.0.1/v1"}, "url"),
        ({"input_cost": "-1"}, "input_cost"),
        ({"input_cost": "NaN"}, "input_cost"),
        ({"output_cost": "0.0000001"}, "output_cost"),
        ({"model_arg": "two words"}, "model_arg"),
    ],
)
def test_an_endpoint_that_cannot_be_one_is_refused_by_the_field(own, changes, param):
    own.post(KEY, name="my_key", value=VALUE)

    assert faults(endpoint(own, **changes)) == (400, param)
    assert CustomEndpoint.objects.count() == 0


def test_an_endpoint_whose_key_is_not_there_is_404(own):
    answer = endpoint(own)

    assert (answer.status_code, answer.json()["detail"]) == (404, "Custom API Key not found.")
    assert answer.json()["error"]["param"] == "key_name"


def test_an_endpoint_that_is_not_there_is_404(own):
    answers = [
        own.delete(ENDPOINT, name="nobody@custom"),
        own.post(f"{ENDPOINT}/rename", name="nobody@custom", new_name="x@custom"),
        own.post(METRICS, endpoint_name="nobody@custom", metric_name="ttft", value="1"),
        own.delete(METRICS, endpoint_name="nobody@custom"),
        own.get(METRICS, model="nobody", provider="custom"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["detail"] for answer in answers} == {"Custom endpoint not found."}


def test_metrics_are_told_as_they_were_stated_and_the_last_costs_are_the_price(own):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)
    empty = own.get(METRICS, model="mine", provider="custom")
    for name, value, at in [
        ("ttft", "120.5", "2026-11-01 10:00:00"),
        ("input_cost", "2", "2026-11-01 10:00:00"),
        ("input_cost", "3", "2026-11-02T10:00:00Z"),
        ("output_cost", "4", "2026-11-02T10:00:00Z"),
    ]:
        own.post(METRICS, endpoint_name="mine@custom", metric_name=name, value=value, measured_at=at)

    latest = own.get(METRICS, model="mine", provider="custom").json()
    both = own.get(METRICS, model="mine", provider="custom", start_time="2026-11-01 00:00:00").json()

    assert (empty.status_code, empty.json()) == (200, [])
    assert latest == [
        {
            "endpoint": "mine@custom",
            "ttft": 120.5,
            "itl": None,
            "input_cost": 3.0,
            "output_cost": 4.0,
            "measured_at": "2026-11-02T10:00:00+00:00",
        }
    ]
    assert [(row["input_cost"], row["measured_at"]) for row in both] == [
        (2.0, "2026-11-01T10:00:00+00:00"),
        (3.0, "2026-11-02T10:00:00+00:00"),
    ]
    assert CustomEndpoint.objects.get().input_usd_per_million == 3
    own.delete(METRICS, endpoint_name="mine@custom", timestamps=["2026-11-02T10:00:00Z"])
    assert CustomEndpoint.objects.get().input_usd_per_million == 2
    assert own.delete(METRICS, endpoint_name="mine@custom").status_code == 200
    assert CustomEndpoint.objects.get().input_usd_per_million is None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"metric_name": "quality"}, "metric_name"),
        ({"value": "-1"}, "value"),
        ({"value": "many"}, "value"),
        ({"metric_name": "input_cost", "value": "100001"}, "value"),
        ({"measured_at": "yesterday"}, "measured_at"),
        ({"measured_at": "2999-01-01 00:00:00"}, "measured_at"),
    ],
)
def test_a_metric_that_cannot_be_one_is_refused_by_the_field(own, changes, param):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)
    given = {"endpoint_name": "mine@custom", "metric_name": "ttft", "value": "1", **changes}

    assert faults(own.post(METRICS, **given)) == (400, param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"region": "Mars"}, "region"),
        ({"seq_len": "medium"}, "seq_len"),
        ({"start_time": "soon"}, "start_time"),
        ({"start_time": "2026-11-02 00:00:00", "end_time": "2026-11-01 00:00:00"}, "start_time"),
        ({"start_time": "2026-09-01 00:00:00", "end_time": "2026-11-01 00:00:00"}, "start_time"),
        ({"start_time": "9999-12-30 00:00:00"}, "start_time"),
        ({"start_time": "9999-12-30 00:00:00", "end_time": "9999-12-31 23:59:59"}, "model"),
        ({"start_time": "0001-01-01 00:00:00", "end_time": "0001-01-02 00:00:00"}, "model"),
    ],
)
def test_metrics_that_are_asked_wrongly_name_what_is_wrong(own, query, param):
    answer = own.get(METRICS, model="echo", provider="fake", **query)

    assert faults(answer) == (404 if param == "model" else 400, param)


@pytest.mark.parametrize("query", [{}, {"end_time": "2026-11-02 00:00:00"}])
def test_an_endpoint_that_was_never_measured_is_404(own, query):
    answer = own.get(METRICS, model="echo", provider="fake", region="Iowa", seq_len="short", **query)

    assert (answer.status_code, answer.json()["detail"]) == (404, "Benchmarks for echo@fake not found.")


def test_a_stranger_neither_reads_nor_changes_anothers_keys_and_endpoints(alice, own, strange):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)

    assert strange.get(KEY, name="my_key").status_code == 404
    assert strange.delete(KEY, name="my_key").status_code == 404
    assert strange.post(f"{KEY}/rename", name="my_key", new_name="x").status_code == 404
    assert strange.delete(ENDPOINT, name="mine@custom").status_code == 404
    assert strange.get(METRICS, model="mine", provider="custom").status_code == 404
    assert endpoint(strange).status_code == 404
    assert (strange.get(f"{KEY}/list").json(), strange.get(f"{ENDPOINT}/list").json()) == ([], [])
    assert CustomEndpoint.objects.get().organization == alice.organization


@pytest.mark.parametrize("role", ["", Role.DEVELOPER, Role.VIEWER, Role.BILLING])
def test_only_who_manages_providers_keeps_keys_and_endpoints(alice, role):
    caller = Caller(key_of(alice, role))

    calls = [
        caller.post(KEY, name="my_key", value=VALUE),
        caller.get(KEY, name="my_key"),
        caller.delete(KEY, name="my_key"),
        caller.get(f"{KEY}/list"),
        caller.post(f"{KEY}/rename", name="a", new_name="b"),
        endpoint(caller),
        caller.delete(ENDPOINT, name="mine@custom"),
        caller.get(f"{ENDPOINT}/list"),
        caller.post(f"{ENDPOINT}/rename", name="a", new_name="b"),
        caller.post(METRICS, endpoint_name="mine@custom", metric_name="ttft", value="1"),
        caller.delete(METRICS, endpoint_name="mine@custom"),
    ]

    assert {answer.status_code for answer in calls} == {403}
    assert {answer.json()["error"]["details"]["right"] for answer in calls} == {"manage_providers"}


def test_a_sealed_key_opens_for_its_owner_alone(alice, charlie, own, settings):
    own.post(KEY, name="my_key", value=VALUE)
    row = ProviderKey.objects.get()
    vault = Vault(settings.FAREBOX_MASTER_KEY)
    data_key = vault.unwrap(bytes(alice.organization.encrypted_data_key), alice.organization.pk)

    opened = data_key.decrypt(bytes(row.encrypted_value), context=f"provider-key:{row.pk}")

    assert opened.decode() == VALUE
    assert row.created_at < datetime.now(UTC)


@pytest.mark.parametrize("costs", [{}, {"input_cost": "1"}, {"input_cost": "1", "output_cost": "0"}])
def test_the_audit_log_names_what_was_said_of_an_endpoint(own, costs):
    own.post(KEY, name="my_key", value=VALUE)

    endpoint(own, **costs)

    assert AuditEntry.objects.get(action="endpoint.set").changed == sorted(
        ["key_name", "name", "url", *costs]
    )


def test_each_write_stands_in_the_audit_log_and_no_secret_does(alice, own):
    own.post(KEY, name="my_key", value=VALUE)
    endpoint(own)
    endpoint(own, name="refused")
    own.post(METRICS, endpoint_name="mine@custom", metric_name="ttft", value="1")
    own.delete(ENDPOINT, name="mine@custom")
    own.delete(KEY, name="my_key")

    entries = AuditEntry.objects.filter(organization=alice.organization).order_by("created_at")
    assert [(entry.action, entry.target) for entry in entries] == [
        ("provider_key.create", "my_key"),
        ("endpoint.set", "mine@custom"),
        ("endpoint.measure", "mine@custom"),
        ("endpoint.remove", "mine@custom"),
        ("provider_key.remove", "my_key"),
    ]
    assert {(entry.via, entry.person) for entry in entries} == {("key", alice.person)}
    assert all(entry.credential.startswith("Manages as owner") for entry in entries)
    assert not any(VALUE in str(vars(entry)) for entry in entries)
