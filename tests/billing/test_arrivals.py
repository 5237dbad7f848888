"""Events off the stream: what is accepted, what is cut to size, what is refused."""

import base64
from datetime import UTC, datetime

import orjson
import pytest

from billing.arrivals import parse_arrival, row_of
from billing.errors import MalformedEvent

MINIMAL = {
    "v": 1,
    "id": "0" * 31 + "1",
    "at": "2026-11-21T01:02:03.123456+00:00",
    "organization": "0" * 31 + "2",
    "project": "0" * 31 + "3",
    "key": "0" * 31 + "4",
    "status": 200,
    "ending": "completed",
    "usage": {"input": 7, "output": 10, "reasoning": 3},
    "cost_nano": 33_000,
    "charge_nano": 0,
}


def parsed(**changes):
    return parse_arrival(orjson.dumps(MINIMAL | changes))


def test_an_event_of_a_later_version_of_the_data_plane_may_have_more_fields():
    assert parsed(brand_new={"a": 1}).usage.input == 7


def test_a_row_holds_the_counts_the_money_and_the_moment_exactly():
    row = row_of(parsed())

    assert row["occurred_at"] == "2026-11-21T01:02:03.123456+00:00"
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (7, 10, 3)
    assert (row["cost_usd"], row["charge_usd"]) == ("0.000033000", "0.000000000")


def test_bodies_are_decoded_from_base64():
    assert parsed(request_body=base64.b64encode(b"\x00sealed").decode()).request_body == b"\x00sealed"


def test_texts_are_cut_to_their_columns():
    row = row_of(parsed(error_message="x" * 600, model="m" * 300, tags=["t" * 70]))

    assert (len(row["error_message"]), len(row["model"]), len(row["tags"][0])) == (512, 256, 64)


def test_nul_characters_are_replaced_wherever_they_stand():
    arrival = parsed(end_user="a\x00b", parameters={"x\x00": ["\x00"]}, tags=["\x00"])

    assert arrival.end_user == "a\N{REPLACEMENT CHARACTER}b"
    assert arrival.parameters == {"x\N{REPLACEMENT CHARACTER}": ["\N{REPLACEMENT CHARACTER}"]}
    assert arrival.at == datetime(2026, 11, 21, 1, 2, 3, 123456, UTC)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, "v"),
        ({"id": "not-an-id"}, "id"),
        ({"at": "2026-11-21T01:02:03"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": "1999-12-31T23:59:59+00:00"}, "at"),
        ({"organization": None}, "organization"),
        ({"status": 40_000}, "status"),
        ({"usage": {"input": -1}}, "input"),
        ({"usage": {"input": 1.5}}, "input"),
        ({"usage": [1]}, "usage"),
        ({"cost_nano": -1}, "cost_nano"),
        ({"cost_nano": 2**63}, "cost_nano"),
        ({"charge_nano": "27000"}, "charge_nano"),
        ({"tags": "a,b"}, "tags"),
        ({"tags": ["x"] * 101}, "tags"),
        ({"request_body": "%%%"}, "request_body"),
    ],
)
def test_what_is_no_event_is_refused_and_the_reason_names_the_field(changes, reason):
    with pytest.raises(MalformedEvent, match=reason):
        parsed(**changes)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff", b'{"v":1}', b"[" * 100_000])
def test_what_is_no_json_object_of_an_event_is_refused(content):
    with pytest.raises(MalformedEvent):
        parse_arrival(content)
