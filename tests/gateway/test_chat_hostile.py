"""Hostile bodies: each is refused with a 400 that names the field; odd but honest ones are read.

The tables beside this file follow the categories C to G of the reliability plan's corpus.
"""

import re
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.wire.chat import parse_chat_request
from tests.gateway.chat_bodies import body
from tests.gateway.hostile_json import BAD_JSON
from tests.gateway.hostile_messages import BAD_MESSAGES
from tests.gateway.hostile_numbers import BAD_NUMBERS
from tests.gateway.hostile_parameters import BAD_PARAMETERS
from tests.gateway.odd_bodies import ODD_BUT_HONEST

REFUSED = [*BAD_JSON, *BAD_MESSAGES, *BAD_PARAMETERS, *BAD_NUMBERS]


@pytest.mark.parametrize(
    ("sent", "code", "param"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_hostile_body_is_refused_by_name(sent: bytes, code: str, param: str | None) -> None:
    with pytest.raises(GatewayError) as refusal:
        parse_chat_request(sent)

    error = refusal.value
    assert (error.status, error.type, error.code, error.param) == (400, "invalid_request_error", code, param)
    assert len(error.message) < 400
    assert re.search(r"[.)]$", error.message)


@pytest.mark.parametrize("sent", [row[1] for row in ODD_BUT_HONEST], ids=[row[0] for row in ODD_BUT_HONEST])
def test_an_odd_but_honest_body_is_accepted(sent: bytes) -> None:
    assert parse_chat_request(sent).prompt.message_count >= 1


def test_there_are_over_two_hundred_hostile_bodies() -> None:
    names = [row[0] for row in REFUSED]

    assert len(names) > 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "n", "max_tokens", "stop", "user", "tags"])
@pytest.mark.parametrize("value", [{}, {"a": 1}, [[]], [{}], "\U0001f4a9", 10**18, -1e300, False])
def test_no_kind_of_value_breaks_a_check(name: str, value: Any) -> None:
    status = 200
    try:
        parse_chat_request(body(**{name: value}))
    except GatewayError as error:
        status = error.status

    assert status in (200, 400)
