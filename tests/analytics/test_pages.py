"""The overview, the request log and one request, through the browser's door."""

import json
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import Membership
from accounts.permissions import Role
from accounts.vault import Vault
from analytics.rollups import roll_up
from billing.models import UsageBody, UsageEvent
from tests.analytics.conftest import Record
from tests.people import Somebody


def test_strangers_see_the_landing_page_and_members_their_overview(alice: Somebody) -> None:
    assert b"money is right" in Client().get("/").content
    assert alice.browser.get("/").headers["location"] == "/o/acme/"


@pytest.mark.parametrize("path", ["/o/acme/", "/o/acme/requests/", f"/o/acme/requests/{uuid4()}/"])
def test_a_stranger_finds_nothing(alice: Somebody, charlie: Somebody, path: str) -> None:
    assert charlie.browser.get(path).status_code == 404
    assert Client().get(path).status_code == 302


def test_the_request_of_another_organization_is_not_found(
    alice: Somebody, charlie: Somebody, record: Record
) -> None:
    event = record()

    assert alice.browser.get(f"/o/acme/requests/{event.id}/").status_code == 200
    assert charlie.browser.get(f"/o/charlie-and-sons/requests/{event.id}/").status_code == 404


@pytest.mark.parametrize(
    "event_id",
    [
        pytest.param("e677d21f-dbff-7fff-bfff-ffffffffffff", id="the last moment of 9999"),
        pytest.param("ffffffff-ffff-7fff-bfff-ffffffffffff", id="the year 10889"),
    ],
)
def test_an_id_from_the_end_of_the_calendar_is_not_found(alice: Somebody, event_id: str) -> None:
    assert alice.browser.get(f"/o/acme/requests/{event_id}/").status_code == 404


def test_an_overview_without_requests_shows_how_to_send_one(alice: Somebody) -> None:
    page = alice.browser.get("/o/acme/").content.decode()

    assert "No requests in this period" in page
    assert "/v1/chat/completions" in page


def test_each_figure_leads_to_requests_that_sum_to_it(alice: Somebody, record: Record) -> None:
    now = timezone.now()
    for minutes in range(0, 300, 7):
        record(at=now - timedelta(minutes=minutes), charge_usd=Decimal(minutes) / 7)
    roll_up()
    record(at=now, charge_usd=Decimal("0.25"))

    overview = alice.browser.get("/o/acme/?range=24h")
    spend, requests = overview.context["tiles"][:2]
    log = alice.browser.get(requests.href)

    assert spend.exact == "$903.25"
    assert log.context["total"].charge_usd == Decimal("903.25")
    assert log.context["total"].requests == 44
    assert len(log.context["rows"]) == 44


def test_every_group_leads_to_requests_that_sum_to_it(alice: Somebody, record: Record) -> None:
    for model, tags in (("echo", ["blue"]), ("echo", []), ("", ["blue", "red"])):
        record(at=timezone.now(), model=model, tags=tags)
    roll_up()

    for by in ("model", "key", "project", "provider", "tag"):
        for group in alice.browser.get(f"/o/acme/?by={by}").context["groups"]:
            log = alice.browser.get(group.href)
            assert len(log.context["rows"]) == group.requests == log.context["total"].requests, (
                by,
                group.name,
            )


@pytest.mark.parametrize("name", ["key", "project"])
def test_the_sum_is_that_of_the_rows_however_an_id_is_written(
    alice: Somebody, record: Record, name: str
) -> None:
    record(at=timezone.now())
    roll_up()
    row = {"key": alice.key_row, "project": alice.project}[name]

    for query in (
        {name: str(row.pk)},
        {name: row.pk.hex},
        {name: str(row.pk).upper()},
        {name: "junk"},
        {"missing": name},
    ):
        log = alice.browser.get("/o/acme/requests/", query)
        assert log.context["total"].requests == len(log.context["rows"]) == 1, query


def test_the_days_of_a_period_are_shown_as_they_were_chosen(alice: Somebody) -> None:
    """The last one is the day on which Berlin's summer time ended."""
    alice.person.time_zone = "Europe/Berlin"
    alice.person.save()
    chosen = {"from": "2026-10-24", "to": "2026-10-25"}

    page = alice.browser.get("/o/acme/requests/", chosen)

    assert {"from": page.context["first_day"], "to": page.context["last_day"]} == chosen


def test_the_spend_leads_to_ledger_entries_of_the_same_span(alice: Somebody, record: Record) -> None:
    record(at=timezone.now())

    href = alice.browser.get("/o/acme/?range=24h").context["tiles"][0].href

    assert href.startswith("/o/acme/ledger/?start=")
    assert alice.browser.get(href).status_code == 200


def test_the_log_is_paged_without_gap_or_repetition(alice: Somebody, record: Record) -> None:
    moment = timezone.now() - timedelta(hours=1)
    stored = {record(at=moment + timedelta(seconds=number // 3)).id for number in range(120)}

    seen: list = []
    href = "/o/acme/requests/"
    while href:
        page = alice.browser.get(href)
        seen += [row.id for row in page.context["rows"]]
        href = page.context["older_href"]

    assert len(seen) == 120
    assert set(seen) == stored


@pytest.mark.parametrize(
    "query",
    [
        "?range=%00",
        "?start=2026-13-99&end=x",
        "?older=~~~",
        "?status=9999999999999999999999",
        "?key=x&project=y&tag=%F0%9F%98%80",
        "?status=" + "9" * 5000,
        "?least_cost_usd=NaN&least_duration_ms=-1",
        "?least_cost_usd=1e-20000",
        "?least_cost_usd=0e20000",
        "?search=%27%22%3B--",
        "?from=9999-12-31&to=9999-12-31",
        "?by=organization",
        "?model=" + "m" * 3000,
    ],
)
def test_odd_addresses_are_answered(alice: Somebody, record: Record, query: str) -> None:
    record(at=timezone.now())

    assert alice.browser.get(f"/o/acme/{query}").status_code == 200
    assert alice.browser.get(f"/o/acme/requests/{query}").status_code == 200


def test_what_a_client_sent_is_never_markup(alice: Somebody, record: Record) -> None:
    hostile = "<script>alert(1)</script>"
    event = record(
        at=timezone.now(),
        model=hostile,
        provider=hostile,
        requested_model=hostile,
        end_user=hostile,
        tags=[hostile],
        error_message=hostile,
        error_code=hostile,
        agent=hostile,
        ending="upstream_error",
    )

    for path in ("", "?by=tag", "requests/", f"requests/{event.id}/", f"requests/?tag={hostile}"):
        assert hostile not in alice.browser.get(f"/o/acme/{path}").content.decode()


def test_a_developer_sees_the_requests_of_their_own_keys(
    alice: Somebody, bob: Somebody, record: Record
) -> None:
    of_alice = record(at=timezone.now(), charge_usd=Decimal(3))
    of_bob = record(at=timezone.now(), charge_usd=Decimal(1), key_id=bob.key_row.pk)
    roll_up()

    overview = bob.browser.get("/o/acme/")
    log = bob.browser.get("/o/acme/requests/")

    assert overview.context["total"].charge_usd == Decimal(1)
    assert [row.id for row in log.context["rows"]] == [of_bob.id]
    assert log.context["total"].charge_usd == Decimal(1)
    assert bob.browser.get(f"/o/acme/requests/{of_bob.id}/").status_code == 200
    assert bob.browser.get(f"/o/acme/requests/{of_alice.id}/").status_code == 404


def test_messages_are_shown_to_roles_that_may_read_them(alice: Somebody, record: Record) -> None:
    event = record(at=timezone.now())
    _store_bodies(alice, event, question="What is <b>2+2</b>?", answer="Four.")

    page = alice.browser.get(f"/o/acme/requests/{event.id}/").content.decode()
    Membership.objects.update(role=Role.VIEWER)
    page_of_viewer = alice.browser.get(f"/o/acme/requests/{event.id}/").content.decode()

    assert "What is &lt;b&gt;2+2&lt;/b&gt;?" in page
    assert "Four." in page
    assert "Four." not in page_of_viewer
    assert "your role may not read them" in page_of_viewer


def test_bodies_sealed_for_another_request_are_not_shown(alice: Somebody, record: Record) -> None:
    now = timezone.now()
    event, other = record(at=now), record(at=now)
    _store_bodies(alice, event, question="Mine", answer="Yours")
    UsageBody.objects.filter(event_id=event.id).update(event_id=other.id)

    page = alice.browser.get(f"/o/acme/requests/{other.id}/").content.decode()

    assert "Mine" not in page
    assert "cannot be read" in page


def test_the_pages_carry_nothing_inline_and_nothing_foreign(alice: Somebody, record: Record) -> None:
    event = record(at=timezone.now())

    for path in ("/o/acme/", "/o/acme/requests/", f"/o/acme/requests/{event.id}/"):
        page = alice.browser.get(path)
        text = page.content.decode()
        assert "style=" not in text
        assert "onclick=" not in text
        assert "unsafe" not in page.headers["content-security-policy"]
        assert 'src="http' not in text


def _store_bodies(owner: Somebody, event: UsageEvent, *, question: str, answer: str) -> None:
    wrapped = bytes(owner.organization.encrypted_data_key or b"")
    data_key = Vault(settings.FAREBOX_MASTER_KEY).unwrap(wrapped, owner.organization.pk)
    asked = {"model": "echo", "messages": [{"role": "user", "content": [{"type": "text", "text": question}]}]}
    answered = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    UsageBody.objects.create(
        event_id=event.id,
        occurred_at=event.occurred_at,
        organization_id=owner.organization.pk,
        encrypted_request=data_key.encrypt(
            json.dumps(asked).encode(), context=f"usage-body:{event.id}:request"
        ),
        encrypted_response=data_key.encrypt(
            json.dumps(answered).encode(), context=f"usage-body:{event.id}:response"
        ),
    )
