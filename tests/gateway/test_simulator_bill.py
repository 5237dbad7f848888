"""The simulator's bill, as OpenAI and Anthropic would tell it."""

import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.simulator_process import start_simulator

TODAY = datetime.now(UTC).date()


@pytest.fixture
def key():
    return f"key-{uuid.uuid4().hex}"


@pytest.fixture
def url():
    return start_simulator()


def ask(url, key, text="hello", model="echo"):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def report(url, path, key, **parameters):
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    is_openai = path.startswith("organization/")
    start = {"start_time": int(midnight.timestamp())} if is_openai else {"starting_at": midnight.isoformat()}
    headers = {"authorization": f"Bearer {key}"} if is_openai else {"x-api-key": key}
    return httpx.get(f"{url}/v1/{path}", params=start | parameters, headers=headers, timeout=30)


def results(answer):
    (bucket,) = answer.raise_for_status().json()["data"]
    return bucket["results"]


def test_openais_costs_and_usage(url, key):
    ask(url, key)
    ask(url, key, "hello [[cached 3]]")

    costs = results(report(url, "organization/costs", f"admin-{key}", group_by="line_item"))
    (usage,) = results(report(url, "organization/usage/completions", f"admin-{key}", group_by="model"))

    counted = {name: usage[name] for name in ("input_tokens", "input_cached_tokens", "output_tokens")}
    assert usage["num_model_requests"] == 2
    assert {line["line_item"] for line in costs} == {"echo, input", "echo, cached input", "echo, output"}
    assert counted["input_cached_tokens"] == 3
    assert counted["output_tokens"] == 16
    billed = {line["line_item"]: line["amount"] for line in costs}
    assert billed["echo, output"] == {"value": 0.000032, "currency": "usd"}
    assert billed["echo, cached input"]["value"] == 0.0000003


def test_anthropics_costs_are_cents_and_its_usage_counts_fresh_tokens(url, key):
    ask(url, key)

    costs = results(report(url, "organizations/cost_report", f"admin-{key}", **{"group_by[]": "description"}))
    (usage,) = results(
        report(url, "organizations/usage_report/messages", f"admin-{key}", **{"group_by[]": "model"})
    )

    assert {line["description"]: line["amount"] for line in costs}[
        "echo Usage - Output Tokens"
    ] == "0.0016000000"
    assert (usage["model"], usage["output_tokens"], usage["cache_read_input_tokens"]) == ("echo", 8, 0)


def test_one_keys_calls_are_not_on_anothers_bill(url, key):
    ask(url, key)

    assert results(report(url, "organization/costs", "admin-nobody", group_by="line_item")) == []
    assert results(report(url, "organization/costs", "admin"))[0]["line_item"] is None


def test_a_free_model_costs_nothing_and_a_failed_call_is_not_billed(url, key):
    ask(url, key, model="free")
    ask(url, key, "[[status 503]]")

    costs = results(report(url, "organization/costs", f"admin-{key}", group_by="line_item"))

    assert {line["line_item"]: line["amount"]["value"] for line in costs} == {
        "free, input": 0,
        "free, output": 0,
    }


def test_days_come_in_pages(url, key):
    ask(url, key)
    parameters = {"end_time": int((datetime.now(UTC) + timedelta(days=3)).timestamp()), "limit": 2}

    first = report(url, "organization/costs", f"admin-{key}", **parameters).json()
    second = report(url, "organization/costs", f"admin-{key}", page=first["next_page"], **parameters).json()

    assert (len(first["data"]), first["has_more"]) == (2, True)
    assert (len(second["data"]), second["has_more"], second["next_page"]) == (1, False, None)
    assert first["data"][1]["end_time"] == second["data"][0]["start_time"]


@pytest.mark.parametrize(
    ("admin_key", "parameters", "status"),
    [
        ("sk-ordinary", {}, 401),
        ("admin", {"limit": 181}, 400),
        ("admin", {"limit": 0}, 400),
        ("admin", {"bucket_width": "1h"}, 400),
        ("admin", {"start_time": "yesterday"}, 400),
        ("admin", {"page": "x"}, 400),
    ],
)
def test_what_the_bill_refuses(url, admin_key, parameters, status):
    assert report(url, "organization/costs", admin_key, **parameters).status_code == status
