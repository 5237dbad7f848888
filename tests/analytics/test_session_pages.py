"""Sessions: the list, the page of one, what a request's page says of its labels, and the log as CSV."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from accounts.permissions import Role
from tests.analytics.conftest import Record
from tests.people import Somebody, teammate

ODD = "chat/7 ü&id=<b>"


@pytest.fixture
def talk(record: Record) -> list:
    """Three requests of an odd session within an hour, the second one failed, and one of another."""
    begun = timezone.now() - timedelta(hours=1)
    events = [
        record(at=begun + timedelta(minutes=number), session_id=ODD, agent="crew", **changes)
        for number, changes in enumerate([{}, {"ending": "refused", "status": 400, "charge_usd": 0}, {}])
    ]
    record(at=begun + timedelta(minutes=9), session_id="other", charge_usd=Decimal(1))
    record(at=begun)
    return events


@pytest.mark.contract("3.2 session_id, agent (body)")
def test_a_session_shows_its_requests_in_order_with_their_sums(alice: Somebody, talk: list) -> None:
    page = alice.browser.get(f"/o/acme/requests/sessions/?id={quote(ODD)}")

    assert [row.id for row in page.context["rows"]] == [event.id for event in talk]
    total = page.context["total"]
    assert (total.requests, total.errors, total.prompt_tokens) == (3, 1, 21)
    assert total.charge_usd == Decimal("0.000062")
    assert page.context["story"].agents == ("crew",)
    assert "<b>" not in page.content.decode()


def test_a_long_session_is_paged_without_gap_or_repetition(alice: Somebody, record: Record) -> None:
    begun = timezone.now() - timedelta(hours=1)
    times = [begun + timedelta(seconds=number // 3) for number in range(120)]
    stored = [record(at=moment, session_id="long").id for moment in times]

    seen: list = []
    href = "/o/acme/requests/sessions/?id=long"
    while href:
        page = alice.browser.get(href)
        seen += [row.id for row in page.context["rows"]]
        href = page.context["later_href"]

    assert len(seen) == 120
    assert set(seen) == set(stored)


def test_the_list_has_the_latest_session_first_and_leads_to_each(alice: Somebody, talk: list) -> None:
    page = alice.browser.get("/o/acme/requests/sessions/")

    found = [(row.session_id, row.requests, row.errors) for row, _ in page.context["sessions"]]
    assert found == [("other", 1, 0), (ODD, 3, 1)]
    assert [row.charge_usd for row, _ in page.context["sessions"]] == [Decimal(1), Decimal("0.000062")]
    for _, href in page.context["sessions"]:
        assert alice.browser.get(href).status_code == 200


def test_without_sessions_the_list_says_how_to_have_some(alice: Somebody) -> None:
    assert b"x-session-id" in alice.browser.get("/o/acme/requests/sessions/").content


def test_a_session_that_is_not_there_is_404(alice: Somebody, talk: list) -> None:
    assert alice.browser.get("/o/acme/requests/sessions/?id=nobody").status_code == 404


def test_strangers_and_people_with_other_keys_find_no_session(
    alice: Somebody, charlie: Somebody, talk: list
) -> None:
    bob = teammate("bob@example.com", of=alice, role=Role.DEVELOPER)
    own = f"/o/charlie-and-sons/requests/sessions/?id={quote(ODD)}"

    assert charlie.browser.get(own).status_code == 404
    for page in (f"/o/acme/requests/sessions/?id={quote(ODD)}", "/o/acme/requests/sessions/"):
        assert charlie.browser.get(page).status_code == 404
    assert bob.browser.get(f"/o/acme/requests/sessions/?id={quote(ODD)}").status_code == 404
    assert bob.browser.get("/o/acme/requests/sessions/").context["sessions"] == []


def test_each_label_on_a_requests_page_leads_to_requests_with_the_same(
    alice: Somebody, record: Record
) -> None:
    labels = {
        "end_user": "carol", "agent": "crew", "source": "example.com", "signature": "python",
        "metadata": {"plan": "pro & more"}, "session_id": "s-1",
    }  # fmt: skip
    event = record(at=timezone.now(), **labels)
    record(at=timezone.now())

    page = alice.browser.get(f"/o/acme/requests/{event.id}/")

    found = {label.name: label.value for label in page.context["labels"]}
    assert found == {
        "User": "carol", "Agent": "crew", "Source": "example.com", "Signature": "python",
        "plan": "pro & more",
    }  # fmt: skip
    for href in [label.href for label in page.context["labels"]]:
        assert [row.id for row in alice.browser.get(href).context["rows"]] == [event.id]
    assert [row.id for row in alice.browser.get(page.context["session_href"]).context["rows"]] == [event.id]


def test_a_reported_call_is_marked_and_offers_no_command(alice: Somebody, record: Record) -> None:
    event = record(at=timezone.now(), provider="external", route="/v0/queries", tags=["home"])

    page = alice.browser.get(f"/o/acme/requests/{event.id}/")

    assert page.context["row"].mark == "Made elsewhere and reported to us; nothing was charged"
    assert "curl" not in page.content.decode()
    assert page.context["tags"] == [("home", "/o/acme/requests/?tag=home")]


def test_repeated_tags_must_all_be_there(alice: Somebody, record: Record) -> None:
    both = record(at=timezone.now(), tags=["blue", "red"])
    record(at=timezone.now(), tags=["red"])

    page = alice.browser.get("/o/acme/requests/?tag=red&tag=blue")

    assert [row.id for row in page.context["rows"]] == [both.id]
    assert page.context["total"].requests == 1


def test_the_log_as_csv_has_every_label_and_sums_to_the_page(alice: Somebody, record: Record) -> None:
    now = timezone.now()
    record(
        at=now, tags=["blue", "red"], end_user="carol", session_id="s-1", agent="=1+1", source="example.com",
        signature="python", metadata={"plan": "pro"},
    )  # fmt: skip
    for number in range(501):
        record(at=now - timedelta(seconds=number), id=uuid4())
    record(at=now, model="other")

    page = alice.browser.get("/o/acme/requests/?model=echo")
    rows = rows_of_csv(alice, page.context["csv_href"])

    assert len(rows) == page.context["total"].requests == 502
    assert sum(Decimal(row["charge_usd"]) for row in rows) == page.context["total"].charge_usd
    (labelled,) = (row for row in rows if row["session"])
    assert {name: labelled[name] for name in ("tags", "user", "session", "agent", "source", "signature")} == {
        "tags": "blue,red", "user": "carol", "session": "s-1", "agent": "'=1+1", "source": "example.com",
        "signature": "python",
    }  # fmt: skip
    assert labelled["metadata"] == '{"plan": "pro"}'
    assert labelled["key"].startswith("Key of alice@example.com")


def test_a_developers_csv_has_their_own_requests_alone(alice: Somebody, record: Record) -> None:
    bob = teammate("bob@example.com", of=alice, role=Role.DEVELOPER)
    record(at=timezone.now())
    own = record(at=timezone.now(), key_id=bob.key_row.pk)

    assert [row["id"] for row in rows_of_csv(bob, "/o/acme/requests/?format=csv")] == [str(own.id)]


def rows_of_csv(somebody: Somebody, address: str) -> list[dict[str, str]]:
    async def read(parts) -> str:
        return "".join([part.decode() async for part in parts])

    answer = somebody.browser.get(address)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(async_to_sync(read)(answer.streaming_content), newline="")))
