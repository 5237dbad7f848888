"""Session, agent, source, metadata and log switches: which place wins, and what is refused."""

import orjson
import pytest

from gateway.errors import InvalidValue
from gateway.wire.chat import parse_chat_request
from gateway.wire.labels import labelled, readable_labels, source_of, special_of

OF_AN_SDK = {
    b"host": b"farebox.example", b"accept": b"application/json", b"user-agent": b"OpenAI/Python 2.8.0",
    b"authorization": b"Bearer fbx_", b"content-type": b"application/json", b"x-stainless-lang": b"python",
    b"x-stainless-retry-count": b"0", b"x-request-id": b"mine", b"content-length": b"70",
}  # fmt: skip


def read(headers, *, pairs_limit=4, characters_limit=8, **fields):
    body = {"model": "fake/echo", "messages": [{"role": "user", "content": "hi"}], **fields}
    request = parse_chat_request(orjson.dumps(body))
    return labelled(request, special_of(headers), pairs_limit=pairs_limit, characters_limit=characters_limit)


def refusal_of(headers, **options):
    with pytest.raises(InvalidValue) as refused:
        read(headers, **options)
    return refused.value.param, str(refused.value)


def test_a_request_without_labels_has_no_special_headers():
    assert special_of(OF_AN_SDK) == {}


@pytest.mark.contract("3.2 session_id, agent (body)")
def test_the_session_is_the_first_of_body_extra_body_headers_and_cookie():
    places = [
        ("body", {"session_id": "body"}, {}),
        ("extra", {"extra_body": {"session_id": "extra"}}, {}),
        ("one", {}, {b"x-session-id": b"one"}),
        ("two", {}, {b"x-bf-session-id": b"two"}),
        ("three", {}, {b"x-session-affinity": b"three"}),
        ("four", {}, {b"session_id": b"four"}),
        ("five", {}, {b"session-id": b"five"}),
        ("six", {}, {b"cookie": b'a=b; session_id="six"; c=d'}),
    ]

    for first in range(len(places)):
        fields = {name: value for _, sent, _ in reversed(places[first:]) for name, value in sent.items()}
        headers = {name: value for _, _, sent in places[first:] for name, value in sent.items()}
        assert read(headers, **fields).session_id == places[first][0]
    assert read({}).session_id == ""


def test_a_blank_session_header_leaves_the_place_to_the_next_one():
    assert read({b"x-session-id": b"  ", b"x-bf-session-id": b"real"}).session_id == "real"


def test_a_cookie_that_is_no_label_is_not_meant_for_us():
    long = b"session_id=" + b"x" * 257

    assert [read({b"cookie": cookie}).session_id for cookie in (long, b"session_id=a\x07", b"session=1")] == [
        "", "", "",
    ]  # fmt: skip
    assert read({b"cookie": b"session_id=" + b"x" * 256}).session_id == "x" * 256


@pytest.mark.parametrize(
    ("value", "words"),
    [(b"x" * 257, "256 characters"), (b"a\x07", "control characters"), (b"\xff", "UTF-8")],
)
def test_a_session_header_that_is_no_label_is_refused_by_its_name(value, words):
    param, message = refusal_of({b"x-session-id": value})

    assert param == "x-session-id"
    assert words in message


@pytest.mark.contract("3.2 session_id, agent (body)")
def test_the_agent_of_the_body_wins_over_headers():
    headers = {b"x-agent": b"one", b"x-client-agent": b"two"}

    assert read(headers, agent="body").agent == "body"
    assert read(headers).agent == "one"
    assert read({b"x-client-agent": b"two"}).agent == "two"
    assert read({b"user-agent": b"curl/8"}).agent == ""


@pytest.mark.contract("3.2 signature")
@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ({b"x-source": b"example.com"}, "example.com"),
        ({b"x-source": b"https://www.Example.com/app"}, "Example.com/app"),
        ({b"http-referer": b"https://chat.example:8443/room?token=secret#top"}, "chat.example:8443/room"),
        ({b"x-source": b"my-app", b"http-referer": b"https://other.example"}, "my-app"),
        ({b"x-source": b"", b"http-referer": b"https://other.example"}, "other.example"),
        ({b"referer": b"https://browser.example"}, ""),
        ({}, ""),
    ],
)
def test_the_source_is_a_place_without_scheme_and_query(headers, source):
    assert source_of(headers) == source
    read(headers)


@pytest.mark.parametrize("name", [b"x-source", b"http-referer"])
@pytest.mark.parametrize("value", [b"<script>", b"two words", b"caf\xc3\xa9", b"\xff", b"a" * 257, b"?only"])
def test_a_source_with_illegal_characters_is_refused_by_its_name(name, value):
    param, message = refusal_of({name: value})

    assert param == name.decode()
    assert "1 to 256 letters, digits" in message
    assert source_of({name: value}) == ""


@pytest.mark.contract("3.2 tags")
def test_metadata_comes_from_headers_of_every_dialect_and_from_the_body():
    headers = {
        b"x-llmgateway-plan": b"pro",
        b"x-farebox-metadata-region": b"\xc3\xb6st",
        b"x-bf-prom-team": b"red",
        b"x-bf-customer-id": b"c-1",
        b"x-bf-cache-key": b"not a label",
    }

    assert read(headers, pairs_limit=5, metadata={"order": "o-1"}).metadata == {
        "plan": "pro", "region": "öst", "team": "red", "customer-id": "c-1", "order": "o-1",
    }  # fmt: skip
    assert read({}, metadata={"order": "o-1"}).metadata == {"order": "o-1"}


def test_metadata_of_the_body_wins_and_empty_values_say_nothing():
    headers = {b"x-llmgateway-plan": b"free", b"x-llmgateway-empty": b" "}

    assert read(headers, metadata={"plan": "pro"}).metadata == {"plan": "pro"}


def test_metadata_is_bounded_in_number_and_size():
    four = {f"x-llmgateway-n{number}".encode(): b"12345678" for number in range(4)}

    assert len(read(four).metadata) == 4
    assert refusal_of({**four, b"x-bf-prom-n5": b"1"})[0] == "metadata"
    assert refusal_of(four, metadata={"own": "1"})[0] == "metadata"
    assert refusal_of({b"x-llmgateway-n": b"123456789"})[0] == "x-llmgateway-n"
    assert refusal_of({b"x-llmgateway-n": b"a\x00"})[0] == "x-llmgateway-n"
    assert read({b"x-llmgateway-" + b"n" * 64: b"1"}).metadata == {"n" * 64: "1"}
    assert "at most 64 characters" in refusal_of({b"x-llmgateway-" + b"n" * 65: b"1"})[1]


@pytest.mark.contract("3.2 log_query_body, log_response_body")
def test_a_header_keeps_the_text_out_of_the_log():
    def logs(word):
        request = read({b"x-bf-disable-content-logging": word})
        return request.log_query_body, request.log_response_body

    assert (logs(b"true"), logs(b"1"), logs(b"False")) == ((False, False), (False, False), (True, True))
    assert refusal_of({b"x-bf-disable-content-logging": b"please"})[0] == "x-bf-disable-content-logging"


def test_of_a_refused_request_the_labels_that_can_be_kept_are_noted():
    assert readable_labels({b"x-session-id": b"s-1", b"x-agent": b"a\x07"}) == {"session_id": "s-1"}
    assert readable_labels({b"x-session-id": b"\xff", b"x-agent": b"crew"}) == {"agent": "crew"}
    assert readable_labels({b"x-source": b"<"}) == {}
