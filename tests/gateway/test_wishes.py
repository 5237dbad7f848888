"""What headers ask of the gateway, and the raw exchange that one of them shows."""

from typing import Any

import orjson
import pytest

from gateway.answer_headers import limit_headers, standing_of
from gateway.errors import GatewayError, InternalError, InvalidValue, RateLimited
from gateway.wire.chat import parse_chat_request
from gateway.wire.raw import RawExchange
from gateway.wire.wishes import wished
from tests.gateway.chat_bodies import body

REQUEST = parse_chat_request(body())


def test_a_request_without_such_headers_stays_as_it_is() -> None:
    assert wished(REQUEST, {}) is REQUEST
    assert wished(REQUEST, {b"x-bf-vk": b"k", b"x-bf-eh-a": b"b"}) is REQUEST


@pytest.mark.parametrize(
    ("header", "field", "unasked"),
    [
        (b"x-bf-send-back-raw-response", "wants_raw", False),
        (b"x-bf-passthrough-extra-params", "passes_unknown", True),
        (b"x-bf-compat", "drop_params", True),
    ],
)
def test_a_switch_is_on_or_off(header: bytes, field: str, *, unasked: bool) -> None:
    assert getattr(REQUEST, field) is unasked
    for word, value in {b"true": True, b" TRUE ": True, b"1": True, b"false": False, b"0": False}.items():
        assert getattr(wished(REQUEST, {header: word}), field) is value
    for word in (b"", b"yes", b"2", b"\xff"):
        with pytest.raises(InvalidValue) as refusal:
            wished(REQUEST, {header: word})
        assert refusal.value.param == header.decode()


def test_a_provider_key_is_chosen_by_id_or_name() -> None:
    for header in (b"x-bf-api-key", b"x-bf-api-key-id"):
        chosen = wished(REQUEST, {header: b" fake "})
        assert (chosen.provider_key, chosen.use_custom_keys) == ("fake", True)
    assert wished(REQUEST, {b"x-bf-api-key": b"a", b"x-bf-api-key-id": b"a"}).provider_key == "a"


@pytest.mark.parametrize("value", [b"", b" ", b"a\x07", b"k" * 257])
def test_a_name_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidValue) as refusal:
        wished(REQUEST, {b"x-bf-api-key": value})

    assert refusal.value.param == "x-bf-api-key"


def raw(*events: bytes, answer: bytes | None = None, **options: Any) -> Any:
    exchange = RawExchange(b'{"a":"sk-secret-1"}', **{"secret": "sk-secret-1", "limit_bytes": 40, **options})
    if answer is not None:
        exchange.note_answer(answer)
    for event in events:
        exchange.note_event(event)
    return orjson.loads(orjson.dumps(exchange.as_json()))


@pytest.mark.parametrize(
    ("shown", "response"),
    [
        (raw(), None),
        (raw(answer=b'{"b":1}'), {"b": 1}),
        (raw(answer=b'{"b":"sk-secret-1"}'), {"b": "[redacted]"}),
        (raw(answer=b"x" * 41), None),
        (raw(b'{"b":1}', b"[DONE]"), [{"b": 1}, "[DONE]"]),
        (raw(b'"%b"' % (b"a" * 38)), ["a" * 38]),
        (raw(b'"%b"' % (b"a" * 39)), None),
        (raw(b'"%b"' % (b"a" * 18), b'"%b"' % (b"a" * 19)), None),
        (raw(b'"%b"' % (b"a" * 39), b"1"), None),
    ],
)
def test_what_is_shown_has_no_credential_and_a_bound(shown: Any, response: Any) -> None:
    assert shown == {"raw_request": {"a": "[redacted]"}, "raw_response": response}


def test_a_credential_that_could_be_a_word_is_left() -> None:
    assert raw(answer=b'{"b":"simple"}', secret="simple")["raw_response"] == {"b": "simple"}


def test_a_refusal_for_its_rate_tells_how_the_limit_stands() -> None:
    refusal = RateLimited(scope="key", dimension="requests", limit=60, left=20, retry_after_seconds=3)

    assert dict(limit_headers(standing_of(refusal))) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"20",
        b"x-ratelimit-reset-requests": b"40s",
        b"ratelimit-limit": b"60",
        b"ratelimit-remaining": b"20",
        b"ratelimit-reset": b"40",
        b"ratelimit-policy": b"60;w=60",
    }


@pytest.mark.parametrize("error", [InternalError("e"), InvalidValue("no", param="n")])
def test_other_refusals_tell_of_no_limit(error: GatewayError) -> None:
    assert limit_headers(standing_of(error)) == []


def test_calls_at_once_have_no_header_of_their_own() -> None:
    refusal = RateLimited(scope="key", dimension="concurrency", limit=2, left=0, retry_after_seconds=1)

    assert limit_headers(standing_of(refusal)) == []
