"""Usage and the request log in the management API: the ledger's sums, in strings, for who may see them."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import settings

from accounts.vault import Vault
from billing.models import UsageBody, UsageEvent

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPAN = "start=2026-11-20T00:00:00Z&end=2026-11-22T00:00:00Z"


@pytest.fixture
def record(owner):
    def store(at=NOON, *, of=None, **changes):
        somebody = of or owner.somebody
        values = {
            "id": uuid.uuid4(),
            "organization_id": somebody.organization.pk,
            "project_id": somebody.project.pk,
            "key_id": somebody.key_row.pk,
            "request_id": "req-1",
            "route": "/v0/chat/completions",
            "requested_model": "fake/echo",
            "model": "echo",
            "provider": "fake",
            "status": 200,
            "ending": UsageEvent.Ending.COMPLETED,
            "input_tokens": 7,
            "cached_input_tokens": 1,
            "output_tokens": 10,
            "cost_usd": Decimal("0.000031001"),
            "charge_usd": Decimal("0.000031001"),
            "duration_ms": 12.0,
        }
        return UsageEvent.objects.create(occurred_at=at, **(values | changes))

    return store


def test_sums_are_exact_strings_by_group_dearest_first(owner, record):
    for _ in range(3):
        record(charge_usd=Decimal("0.1"), model="cheap")
    record(charge_usd=Decimal("1234567.000000001"), model="dear", ending="upstream_error")

    told = owner.get(f"/usage?{SPAN}&group_by=model").json()

    assert told["total"] == {
        "requests": 4,
        "errors": 1,
        "estimated_requests": 0,
        "prompt_tokens": 32,
        "cached_tokens": 4,
        "completion_tokens": 40,
        "charge_usd": "1234567.300000001",
        "cost_usd": "0.000124004",
    }
    assert [(group["value"], group["charge_usd"]) for group in told["groups"]] == [
        ("dear", "1234567.000000001"),
        ("cheap", "0.3"),
    ]
    assert (told["start"], told["end"]) == ("2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z")
    assert told["groups"][0]["slots"] == []


def test_what_is_left_off_is_summed_so_that_groups_and_rest_are_the_total(owner, record):
    for number in range(4):
        record(charge_usd=Decimal(number), model=f"model-{number}")

    told = owner.get(f"/usage?{SPAN}&group_by=model&limit=2").json()

    assert [group["charge_usd"] for group in told["groups"]] == ["3", "2"]
    assert (told["rest"]["charge_usd"], told["groups_left_off"]) == ("1", 2)
    assert told["total"]["charge_usd"] == "6"


def test_days_are_those_of_the_time_zone(owner, record):
    record(datetime(2026, 11, 20, 23, 30, tzinfo=UTC), charge_usd=Decimal(1))
    record(datetime(2026, 11, 20, 22, 30, tzinfo=UTC), charge_usd=Decimal(2))

    def days(zone):
        [group] = owner.get(f"/usage?{SPAN}&interval=day&time_zone={zone}").json()["groups"]
        return [(slot["start"], slot["charge_usd"]) for slot in group["slots"]]

    assert days("UTC") == [("2026-11-20T00:00:00Z", "3"), ("2026-11-21T00:00:00Z", "0")]
    assert days("Europe/Berlin") == [
        ("2026-11-20T00:00:00Z", "2"),
        ("2026-11-20T23:00:00Z", "1"),
        ("2026-11-21T23:00:00Z", "0"),
    ]


def test_both_ends_of_the_span_are_as_they_say(owner, record):
    start, end = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    for at in (start - timedelta(microseconds=1), start, end - timedelta(microseconds=1), end):
        record(at)

    assert owner.get(f"/usage?{SPAN}").json()["total"]["requests"] == 2
    assert len(owner.get(f"/logs?{SPAN}").json()["data"]) == 2


def test_a_span_that_cannot_be_is_refused_by_name(owner):
    cases = {
        "start=2026-11-22T00:00:00Z&end=2026-11-20T00:00:00Z": "start",
        "start=2026-11-20T00:00:00Z&end=2026-11-20T00:00:00Z": "start",
        "start=2020-01-01T00:00:00Z&end=2026-01-01T00:00:00Z": "start",
        "start=yesterday": "start",
        "end=2026-11-20T00:00:00": "end",
        "end=0001-01-01T00:00:00Z": "end",
        "start=2026-01-01T00:00:00Z&end=2026-12-01T00:00:00Z&interval=hour": "interval",
        "interval=week": "interval",
        "group_by=colour": "group_by",
        "time_zone=Mars": "time_zone",
        "limit=0": "limit",
        "limit=1001": "limit",
    }
    for query, param in cases.items():
        answer = owner.get(f"/usage?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), query


def test_who_sees_no_spend_sees_their_own_keys_alone(owner, developer, viewer, stranger, record):
    record()
    own = record(of=developer.somebody, charge_usd=Decimal(5))

    assert viewer.get(f"/usage?{SPAN}").json()["total"]["requests"] == 2
    assert developer.get(f"/usage?{SPAN}&group_by=tag").json()["error"]["param"] == "group_by"
    told = developer.get(f"/usage?{SPAN}").json()
    assert told["total"]["charge_usd"] == "5"
    assert [group["name"] for group in told["groups"]] == ["Key of bob@example.com"]
    assert [each["id"] for each in developer.get("/logs").json()["data"]] == [str(own.id)]
    assert stranger.get(f"/usage?{SPAN}").status_code == 404
    assert stranger.get("/logs").status_code == 404


def test_one_request_is_read_in_full_by_who_may(owner, developer, viewer, stranger, record):
    event = record(
        timeline=[["queue", 0, 1.5]], attempts=[{"provider": "fake"}], cost_parts={"input": "1E-7"}
    )
    path = f"/logs/{event.id}"

    told = owner.get(path).json()

    assert (told["charge_usd"], told["tokens"]) == (
        "0.000031001",
        {"input_tokens": 7, "cached_input_tokens": 1, "output_tokens": 10},
    )
    assert (told["timeline"], told["attempts"]) == ([["queue", 0, 1.5]], [{"provider": "fake"}])
    assert told["cost_parts"] == {"input": "0.0000001"}
    assert (told["request_body"], told["corrections"]) == (None, [])
    assert viewer.get(path).status_code == 200
    assert [caller.get(path).status_code for caller in (developer, stranger)] == [404, 404]
    assert owner.get(f"/logs/{uuid.uuid4()}").status_code == 404


def test_stored_bodies_are_for_who_may_read_them(owner, admin, viewer, record):
    event, organization = record(), owner.somebody.organization
    key = Vault(settings.FAREBOX_MASTER_KEY).unwrap(bytes(organization.encrypted_data_key), organization.pk)
    UsageBody.objects.create(
        event_id=event.id,
        occurred_at=event.occurred_at,
        organization_id=organization.pk,
        encrypted_request=key.encrypt(b'{"messages": []}', context=f"usage-body:{event.id}:request"),
    )

    assert admin.get(f"/logs/{event.id}").json()["request_body"] == {"messages": []}
    assert admin.get(f"/logs/{event.id}?bodies=false").json()["request_body"] is None
    assert viewer.get(f"/logs/{event.id}").json()["request_body"] is None


def test_the_log_is_filtered_as_on_its_page(owner, record):
    record(tags=["night"], end_user="ann", session_id="s1", model="a", status=500, ending="upstream_error")
    record(model="b", provider="other", duration_ms=900.0, cost_usd=Decimal("2"), request_id="mine")

    def models(query):
        return [each["model"] for each in owner.get(f"/logs?{query}").json()["data"]]

    for query in (
        "tag=night",
        "end_user=ann",
        "session_id=s1",
        "status=500",
        "ending=upstream_error",
        "outcome=failed",
        "model=a",
    ):
        assert models(query) == ["a"], query
    for query in (
        "provider=other",
        "least_duration_ms=900",
        "least_cost_usd=2",
        "search=mine",
        "outcome=succeeded",
    ):
        assert models(query) == ["b"], query
    assert sorted(models(f"key_id={owner.somebody.key_row.pk}")) == ["a", "b"]
    assert models(f"project_id={uuid.uuid4()}") == []
    assert models("least_duration_ms=901") == []
    for query, param in {
        "status=42": "status",
        "outcome=odd": "outcome",
        "ending=odd": "ending",
        "key_id=5": "key_id",
        "least_cost_usd=-1": "least_cost_usd",
        "model=": "model",
        "colour=red": "colour",
    }.items():
        answer = owner.get(f"/logs?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), query


def test_the_log_comes_in_pages_that_stay_while_requests_arrive(owner, record):
    events = [record(NOON + timedelta(minutes=number)) for number in range(5)]

    first = owner.get("/logs?limit=3").json()
    record(NOON + timedelta(hours=1))
    second = owner.get(f"/logs?limit=3&cursor={first['next_cursor']}").json()

    found = [each["id"] for each in first["data"] + second["data"]]
    assert found == [str(event.id) for event in reversed(events)]
    assert second["next_cursor"] is None
