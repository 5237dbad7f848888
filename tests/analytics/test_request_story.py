"""One request as its page tells it, also when what was stored is odd."""

import json
from decimal import Decimal
from uuid import uuid4

import pytest

from analytics import conversation, request_story
from analytics.conversation import Bodies, Message
from analytics.request_rows import mark_of, tone_of
from billing.models import UsageEvent


def event(**fields: object) -> UsageEvent:
    return UsageEvent(id=uuid4(), status=200, ending="completed", **fields)


def test_steps_stand_in_time_with_the_first_token_among_them() -> None:
    steps = request_story.timeline(
        event(
            timeline=[["admit", 0, 10], ["attempt 1: fake", 10, 60], ["stream", 60, 100]],
            duration_ms=100.0,
            first_token_ms=50.0,
        )
    )

    assert [(step.name, step.offset, step.width) for step in steps] == [
        ("Admit", 0, 100),
        ("Attempt 1: fake", 100, 500),
        ("First token", 500, 4),
        ("Stream", 600, 400),
    ]


@pytest.mark.parametrize(
    "stored", [None, {}, [["admit"]], [["admit", "x", 2]], [["admit", 1, 2, 3]], "admit"]
)
def test_a_timeline_that_cannot_be_read_is_empty(stored: object) -> None:
    assert request_story.timeline(event(timeline=stored)) == ()


def test_only_what_was_used_is_listed() -> None:
    assert request_story.tokens(event(input_tokens=7, output_tokens=10)) == (("Input", 7), ("Output", 10))


def test_parts_of_the_cost_are_exact() -> None:
    parts = {"input": "0.000000001050", "cached_input": "0", "output": "0.0000310", "request": "nonsense"}

    assert request_story.cost_parts(event(cost_parts=parts)) == (
        ("Input", "$0.00000000105"),
        ("Output", "$0.000031"),
    )


def test_limits_are_in_their_units() -> None:
    rows = request_story.limits(
        event(
            limits={
                "key:requests": {"limit": 60, "left": 51, "reset_ms": 9_000},
                "organization:budget:month": {"limit": 50_000_000_000, "left": 31_200_000_001, "reset_ms": 0},
                "project:concurrency": {"limit": 5, "left": 4, "reset_ms": 0},
                "odd": 7,
            }
        )
    )

    assert [(row.name, row.limit, row.left, row.resets) for row in rows] == [
        ("Key", "60 requests a minute", "51", "in 9.00 s"),
        ("Organization", "$50.00 a month", "$31.200000001", "\N{EN DASH}"),
        ("Project", "5 at once", "4", "\N{EN DASH}"),
    ]


def test_a_command_survives_quotes_in_the_body() -> None:
    body = {"messages": [{"role": "user", "content": "it's; rm -rf ~"}]}

    command = request_story.as_curl(
        event(route="/v1/chat/completions"), public_url="https://f.example", body=body
    )

    assert command.startswith("curl https://f.example/v1/chat/completions \\\n")
    assert "it'\\''s; rm -rf ~" in command


def test_the_raw_event_is_json() -> None:
    stored = json.loads(request_story.as_json(event(charge_usd=Decimal("0.000031"), tags=["a"])))

    assert (stored["charge_usd"], stored["tags"]) == ("0.000031", ["a"])


def test_a_conversation_is_read_leniently() -> None:
    bodies = Bodies(
        request={
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url"}, 7]},
                "nonsense",
            ]
        },
        response={"choices": [{"message": {"content": None, "refusal": "No", "reasoning": "Hm"}}, {}]},
    )

    assert bodies.messages == (
        Message("user", "Look\n\n[image_url]\n\n[part]"),
        Message("assistant", "Hm\n\nNo"),
    )


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_object_is_none(content: bytes | None) -> None:
    assert conversation._object(content) is None


@pytest.mark.parametrize(
    ("ending", "status", "tone"),
    [
        ("completed", 200, "good"),
        ("client_left", 499, "muted"),
        ("refused", 429, "warn"),
        ("refused", 503, "bad"),
        ("upstream_error", 502, "bad"),
        ("cut", 200, "bad"),
        ("recovered", 200, "bad"),
    ],
)
def test_an_ending_has_a_colour(ending: str, status: int, tone: str) -> None:
    assert tone_of(UsageEvent(ending=ending, status=status)) == tone


def test_costs_that_deserve_a_second_look_wear_a_mark() -> None:
    assert mark_of(event()) == ""
    assert "counted" in mark_of(event(is_estimated=True))
    assert "own provider key" in mark_of(event(is_own_credential=True))
    assert "last reading" in mark_of(UsageEvent(ending="recovered", is_estimated=True))
