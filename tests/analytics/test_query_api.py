"""`/v0/queries`, `/v0/tags`, `/v0/metrics` and `/v0/user/query-logging`, as a client of Unify calls them."""

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Organization
from accounts.permissions import Role
from accounts.services import issue_key, set_body_logging, set_project_body_logging
from accounts.vault import Vault
from analytics.rollups import roll_up
from billing.audit import audit_ledger
from billing.models import LedgerTransfer, UsageBody, UsageEvent
from billing.price_book import load_price_book
from tests.analytics.conftest import NOON, Record
from tests.people import Somebody


def key_with_role(somebody: Somebody, role: Role) -> str:
    _, secret = issue_key(
        organization=somebody.organization,
        project=somebody.project,
        created_by=somebody.person,
        name=f"Key with the role {role}",
        role=role,
        issuer_role=Role.OWNER,
    )
    return secret


@pytest.fixture
def boss(alice: Somebody) -> str:
    """A key that may do whatever alice may."""
    return key_with_role(alice, Role.OWNER)


def get(key: str, path: str, **parameters: Any) -> Any:
    answer = Client().get(path, parameters, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def refusal(key: str, path: str, **parameters: Any) -> tuple[int, str, str]:
    answer = Client().get(path, parameters, headers={"authorization": f"Bearer {key}"})
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["message"]


def report(key: str, **fields: Any) -> Any:
    body = {"endpoint": "mine@external", "query_body": {"messages": []}} | fields
    return Client().post(
        "/v0/queries", body, content_type="application/json", headers={"authorization": f"Bearer {key}"}
    )


def keep_text(event: UsageEvent, *, asked: Any = None, answered: Any = None) -> None:
    organization = Organization.objects.get(pk=event.organization_id)
    data_key = Vault(settings.FAREBOX_MASTER_KEY).unwrap(
        bytes(organization.encrypted_data_key or b""), organization.pk
    )
    sealed = [
        data_key.encrypt(json.dumps(content).encode(), context=f"usage-body:{event.id}:{part}")
        if content is not None
        else None
        for content, part in ((asked, "request"), (answered, "response"))
    ]
    UsageBody.objects.create(
        event_id=event.id,
        occurred_at=event.occurred_at,
        organization_id=event.organization_id,
        encrypted_request=sealed[0],
        encrypted_response=sealed[1],
    )


def test_queries_are_the_newest_first_with_what_was_asked_and_answered(
    alice: Somebody, boss: str, record: Record
) -> None:
    older = record(at=NOON)
    newer = record(at=NOON + timedelta(seconds=90), charge_usd=Decimal("0.25"))
    keep_text(newer, asked={"model": "fake/echo"}, answered={"choices": [{"index": 0}]})

    found = get(boss, "/v0/queries")

    assert found["total_pages"] == 1
    assert [query["at"] for query in found["queries"]] == ["2026-11-20 12:01:30", "2026-11-20 12:00:00"]
    first, second = found["queries"]
    assert (first["endpoint"], first["credits"], first["status_code"]) == ("echo@fake", 0.25, 200)
    assert first["query_body"] == {"model": "fake/echo"}
    assert first["response_body"]["choices"] == [{"index": 0}]
    assert first["response_body"]["usage"] == {
        "prompt_tokens": 7, "completion_tokens": 10, "total_tokens": 17,
    }  # fmt: skip
    assert (second["query_body"], second["response_body"], second["id"]) == ("", "", str(older.id))


def test_an_empty_result_is_an_empty_list(boss: str) -> None:
    assert get(boss, "/v0/queries") == []


def test_a_page_has_twenty_queries(boss: str, record: Record) -> None:
    for number in range(41):
        record(at=NOON + timedelta(seconds=number))

    pages = [get(boss, "/v0/queries", page_number=number) for number in (1, 2, 3)]

    assert [len(page["queries"]) for page in pages] == [20, 20, 1]
    assert {page["total_pages"] for page in pages} == {3}
    assert len({query["id"] for page in pages for query in page["queries"]}) == 41
    assert get(boss, "/v0/queries", page_number=4) == []


@pytest.mark.parametrize(
    ("parameters", "param", "words"),
    [
        ({"page_number": 0}, "page_number", "at least 1"),
        ({"page_number": -1}, "page_number", "at least 1"),
        ({"page_number": 5001}, "page_number", "at most 5000"),
        ({"page_number": "two"}, "page_number", "integer"),
        ({"failures": "perhaps"}, "failures", "false, true, only"),
        ({"start_time": "2026-11-20"}, "start_time", "YYYY-MM-DD hh:mm:ss"),
        ({"end_time": "2026-11-20T12:00:00Z"}, "end_time", "YYYY-MM-DD hh:mm:ss"),
        ({"tags": "x" * 65}, "tags", "64 characters"),
        ({"tags": ",".join(map(str, range(21)))}, "tags", "20 texts"),
        ({"endpoints": "a\x00@b"}, "endpoints", "control characters"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(
    boss: str, parameters: dict[str, Any], param: str, words: str
) -> None:
    status, named, message = refusal(boss, "/v0/queries", **parameters)

    assert (status, named) == (400, param)
    assert words in message


@pytest.mark.parametrize(
    ("failures", "statuses"),
    [
        (None, [200]), ("false", [200]), ("true", [502, 499, 400, 200]), ("True", [502, 499, 400, 200]),
        ("only", [502, 499, 400]),
    ],
)  # fmt: skip
def test_failures_are_shown_when_they_are_asked_for(
    boss: str, record: Record, failures: str | None, statuses: list[int]
) -> None:
    for number, status in enumerate((200, 400, 499, 502)):
        record(at=NOON + timedelta(seconds=number), status=status)

    found = get(boss, "/v0/queries", **({"failures": failures} if failures else {}))

    assert [query["status_code"] for query in found["queries"]] == statuses


def test_times_compare_strictly(boss: str, record: Record) -> None:
    for seconds in range(3):
        record(at=NOON + timedelta(seconds=seconds))

    found = get(boss, "/v0/queries", start_time="2026-11-20 12:00:00", end_time="2026-11-20 12:00:02")

    assert [query["at"] for query in found["queries"]] == ["2026-11-20 12:00:01"]


@pytest.mark.contract("3.2 tags")
@pytest.mark.parametrize("tags", ["maths,ada", " maths , ada ", ["maths", "ada"]])
def test_all_tags_must_match_however_they_are_written(boss: str, record: Record, tags: Any) -> None:
    both = record(tags=["maths", "ada", "third"])
    record(tags=["maths"])
    record(tags=["ada"])

    assert [query["id"] for query in get(boss, "/v0/queries", tags=tags)["queries"]] == [str(both.id)]
    assert len(get(boss, "/v0/queries", tags="maths")["queries"]) == 2
    assert get(boss, "/v0/queries", tags="maths,nobody") == []


@pytest.mark.parametrize("endpoints", ["echo@fake,mine@external", ["echo@fake", "mine@external"]])
def test_one_of_the_endpoints_must_match(alice: Somebody, boss: str, record: Record, endpoints: Any) -> None:
    record()
    record(model="gpt-4o", provider="openai")
    report(boss)

    found = get(boss, "/v0/queries", endpoints=endpoints)

    assert {query["endpoint"] for query in found["queries"]} == {"echo@fake", "mine@external"}


def test_an_endpoint_that_there_is_not_is_404_and_one_without_requests_is_empty(boss: str) -> None:
    for endpoint in ("nothing@nowhere", "gpt-4o", "nothing@openai"):
        assert refusal(boss, "/v0/queries", endpoints=endpoint)[::2] == (404, "Endpoint not found.")
    assert get(boss, "/v0/queries", endpoints="gpt-4o@openai") == []


def test_a_report_of_another_call_stands_in_the_log_and_costs_nothing(alice: Somebody, boss: str) -> None:
    set_body_logging(organization=alice.organization, is_on=True)

    answer = report(
        boss,
        endpoint="llama@my-laptop",
        query_body={"messages": [{"role": "user", "content": "hi"}]},
        response_body={"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}},
        tags="home, lab",
        timestamp="2026-11-20 11:00:00",
        signature="python",
    )

    assert answer.json() == {"info": "Query logged successfully"}
    (query,) = get(boss, "/v0/queries")["queries"]
    assert (query["endpoint"], query["credits"], query["at"]) == ("llama@my-laptop", 0, "2026-11-20 11:00:00")
    assert query["query_body"] == {"messages": [{"role": "user", "content": "hi"}]}
    assert query["response_body"] == {
        "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6},
    }  # fmt: skip
    assert (query["tags"], query["signature"], query["is_external"]) == (["home", "lab"], "python", True)
    event = UsageEvent.objects.get()
    assert (event.provider, event.input_tokens, event.output_tokens) == ("external", 5, 6)
    assert (event.cost_usd, event.charge_usd) == (0, 0)
    assert not LedgerTransfer.objects.filter(organization=alice.organization, kind="charge").exists()


def test_the_books_stay_right_with_reported_calls(alice: Somebody, boss: str) -> None:
    report(boss, response_body={"usage": {"prompt_tokens": 5, "completion_tokens": 6}})
    roll_up()

    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - timedelta(days=400))

    assert (audit.events, audit.differences, audit.not_repriced) == (1, 0, 0)


@pytest.mark.parametrize("is_organizations", [True, False])
def test_reported_text_is_kept_only_where_the_switches_allow_it(
    alice: Somebody, boss: str, is_organizations: bool
) -> None:
    set_body_logging(organization=alice.organization, is_on=is_organizations)
    if is_organizations:
        set_project_body_logging(project=alice.project, is_on=False)

    report(boss, response_body={"choices": []})

    (query,) = get(boss, "/v0/queries")["queries"]
    assert (query["query_body"], query["response_body"]) == ("", "")
    assert not UsageBody.objects.exists()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "no-provider"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"endpoint": "a@b@c"}, "endpoint"),
        ({"endpoint": f"{'x' * 250}@external"}, "endpoint"),
        ({"query_body": None}, "query_body"),
        ({"tags": [1]}, "tags"),
        ({"tags": {"a": 1}}, "tags"),
        ({"tags": ["\ud800"]}, "tags"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2019-01-01 00:00:00"}, "timestamp"),
        ({"timestamp": "2199-01-01 00:00:00"}, "timestamp"),
    ],
)
def test_a_report_that_cannot_be_kept_is_refused_by_its_name(
    boss: str, fields: dict[str, Any], param: str
) -> None:
    answer = report(boss, **fields)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not UsageEvent.objects.exists()


def test_a_key_without_a_role_sees_its_own_queries_and_texts_alone(
    alice: Somebody, boss: str, record: Record
) -> None:
    own = record(tags=["own"])
    keep_text(own, asked={"own": True})
    other = record(key_id=uuid.uuid4(), tags=["others"])
    keep_text(other, asked={"own": False})

    (query,) = get(alice.key, "/v0/queries")["queries"]

    assert (query["id"], query["query_body"]) == (str(own.id), {"own": True})
    assert get(alice.key, "/v0/tags") == ["own"]
    assert [row["request_count"] for row in get(alice.key, "/v0/metrics", **WHOLE_DAY)] == [1]
    assert get(boss, "/v0/tags") == ["others", "own"]
    assert [row["request_count"] for row in get(boss, "/v0/metrics", **WHOLE_DAY)] == [2]


def test_a_role_that_sees_spend_but_no_text_gets_the_queries_without_it(
    alice: Somebody, record: Record
) -> None:
    keep_text(record(), asked={"secret": "canary"})

    (query,) = get(key_with_role(alice, Role.VIEWER), "/v0/queries")["queries"]

    assert query["query_body"] == ""


@pytest.mark.parametrize("path", ["/v0/queries", "/v0/tags", "/v0/metrics?start_time=2026-11-20 00:00:00"])
def test_another_organizations_key_finds_nothing(charlie: Somebody, record: Record, path: str) -> None:
    keep_text(record(tags=["canary"]), asked={"secret": "canary"})
    roll_up()
    theirs = key_with_role(charlie, Role.OWNER)

    assert get(theirs, path) == []


def test_tags_are_those_of_all_requests_also_before_they_are_rolled_up(boss: str, record: Record) -> None:
    record(tags=["b", "a"])
    roll_up()
    record(tags=["c", "a"])
    record()

    assert get(boss, "/v0/tags") == ["a", "b", "c"]
    assert get(boss, "/v0/tags/") == ["a", "b", "c"]


WHOLE_DAY = {
    "start_time": "2026-11-20 00:00:00", "end_time": "2026-11-21 00:00:00", "interval": 86_400,
}  # fmt: skip


def test_metrics_are_counts_times_and_speeds_by_interval(boss: str, record: Record) -> None:
    # Two seconds for 10 tokens is 5 a second; four seconds for 40 is 10 a second.
    record(at=NOON, duration_ms=2000.0)
    record(at=NOON + timedelta(seconds=299), duration_ms=4000.0, output_tokens=30, reasoning_tokens=10)
    record(at=NOON + timedelta(seconds=300), status=502, ending="upstream_error", output_tokens=0)

    rows = get(boss, "/v0/metrics", start_time="2026-11-20 11:59:59", end_time="2026-11-20 12:10:00")

    assert rows == [
        {
            "time_bin": "2026-11-20 12:00:00", "request_count": 2,
            "generation_time_p50": 3.0, "generation_time_p95": 3.9,
            "tokens_per_sec_p50": 7.5, "tokens_per_sec_p95": 9.75,
            "total_prompt_tokens": 14, "total_completion_tokens": 50,
        },
        {
            "time_bin": "2026-11-20 12:05:00", "request_count": 1,
            "generation_time_p50": None, "generation_time_p95": None,
            "tokens_per_sec_p50": None, "tokens_per_sec_p95": None,
            "total_prompt_tokens": 7, "total_completion_tokens": 0,
        },
    ]  # fmt: skip


@pytest.mark.contract("3.2 user")
def test_metrics_are_of_one_user_or_of_the_requests_without_one(boss: str, record: Record) -> None:
    record(end_user="carol")
    record(end_user="carol")
    record()

    assert [row["request_count"] for row in get(boss, "/v0/metrics", **WHOLE_DAY)] == [1]
    of_carol = get(boss, "/v0/metrics", **WHOLE_DAY, secondary_user_id="carol")
    assert [row["request_count"] for row in of_carol] == [2]


def test_metrics_are_of_some_models_and_providers(boss: str, record: Record) -> None:
    for model, provider in (("a", "one"), ("b", "one"), ("c", "two")):
        record(model=model, provider=provider)

    def count(**parameters: str) -> int:
        return sum(row["request_count"] for row in get(boss, "/v0/metrics", **WHOLE_DAY, **parameters))

    assert (count(models="a,c"), count(providers="one"), count(models="a,c", providers="two")) == (2, 2, 1)
    assert get(boss, "/v0/metrics", **WHOLE_DAY, models="z") == []


def test_metrics_without_times_are_of_the_last_seven_days(boss: str, record: Record) -> None:
    record(at=timezone.now() - timedelta(days=6, hours=23))
    record(at=timezone.now() - timedelta(days=7, minutes=1))

    assert sum(row["request_count"] for row in get(boss, "/v0/metrics")) == 1


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": 1}, "interval"),
        ({"interval": "often"}, "interval"),
        ({"start_time": "noon"}, "start_time"),
        ({"start_time": "2020-01-01 00:00:00"}, "interval"),
        ({"end_time": "0001-01-02 00:00:00"}, "end_time"),
    ],
)
def test_metrics_that_cannot_be_given_are_refused_by_name(
    boss: str, parameters: dict[str, Any], param: str
) -> None:
    assert refusal(boss, "/v0/metrics", **parameters)[:2] == (400, param)


def test_the_logging_switch_is_read_by_any_key_and_turned_by_an_owners(alice: Somebody, boss: str) -> None:
    def turn(key: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return Client().patch(
            "/v0/user/query-logging", body, content_type="application/json", headers=headers
        )

    assert get(alice.key, "/v0/user/query-logging") == {"enabled": False}
    assert turn(boss, {"enabled": True}).json() == {"enabled": True}
    assert get(alice.key, "/v0/user/query-logging") == {"enabled": True}
    assert turn(alice.key, {"enabled": False}).status_code == 403
    assert turn(key_with_role(alice, Role.ADMIN), {"enabled": False}).status_code == 403
    for wrong in ({}, {"enabled": "perhaps"}, {"enabled": None}):
        refused = turn(boss, wrong)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "enabled")
    assert Organization.objects.get(pk=alice.organization.pk).is_body_logging_on
    entry = AuditEntry.objects.get(organization=alice.organization)
    assert (entry.via, entry.action, entry.changed) == (
        "key", "organization.update", ["is_body_logging_on"],
    )  # fmt: skip
    assert entry.credential.startswith("Key with the role owner")
