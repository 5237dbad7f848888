"""Every trigger word of the simulator: what comes and what is billed. Answers: test_simulator.py."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import httpx
import openai
import pytest

from gateway.simulator.app import Simulator
from gateway.simulator.behaviour import MODELS, TRIGGERS
from gateway.simulator.chat import FailureCounts, script_chat
from gateway.simulator.script import GARBAGE_BYTES
from tests.simulator_process import ROOT, start_simulator


class Upstream:
    """The simulator under one key, spoken to in bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = f"key-{uuid.uuid4().hex}"
        self.client = httpx.Client(timeout=10, verify=False, headers={"authorization": f"Bearer {self.key}"})

    def ask(self, text: str, *, model: str = "echo", **options: object) -> httpx.Response:
        return self.client.post(f"{self.url}/v1/chat/completions", json=self.body(text, model, options))

    def read(
        self, text: str, *, timeout_seconds: float = 10, **options: object
    ) -> tuple[bytes, Exception | None]:
        """The bytes of a stream until its end, and what broke it."""
        body = self.body(text, "echo", {"stream": True, **options})
        received = b""
        address = f"{self.url}/v1/chat/completions"
        with self.client.stream("POST", address, json=body, timeout=timeout_seconds) as answer:
            try:
                for piece in answer.iter_raw():
                    received += piece
            except httpx.TransportError as exc:
                return received, exc
        return received, None

    def read_events(self, text: str, **options: object) -> list[dict | str]:
        received, problem = self.read(text, **options)
        assert problem is None
        return parse_events(received)

    def body(self, text: str, model: str, options: dict) -> dict:
        return {"model": model, "messages": [{"role": "user", "content": text}], **options}

    def last_call(self) -> dict:
        calls = self.client.get(f"{self.url}/invoice", params={"key": self.key}).json()["requests"]
        return calls[-1]

    def bill(self) -> tuple[str, int, int]:
        call = self.last_call()
        return call["outcome"], call["prompt_tokens"], call["completion_tokens"]


def parse_events(received: bytes) -> list[dict | str]:
    lines = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    contents = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    return [content.decode() if content == b"[DONE]" else json.loads(content) for content in contents]


def text_of(events: list[dict | str]) -> str:
    chunks = [event for event in events if isinstance(event, dict) and event.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


@pytest.fixture(scope="module")
def url() -> str:
    return start_simulator()


@pytest.fixture
def upstream(url: str):
    upstream = Upstream(url)
    with upstream.client:
        yield upstream


USAGE = {"stream_options": {"include_usage": True}}


# Status and headers


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "requests"), (503, "server_error")]
)
def test_status_answers_an_error_and_bills_nothing(upstream, status, kind):
    answer = upstream.ask(f"[[status {status}]]")

    assert answer.status_code == status
    assert answer.json()["error"]["type"] == kind
    assert "retry-after" not in answer.headers
    assert upstream.bill() == ("failed", 0, 0)


def test_status_may_say_when_to_come_again_and_where_to_go(upstream):
    limited = upstream.ask("[[status 429 retry-after 7]]")
    moved = upstream.ask("[[status 307 location http://127.0.0.1:9/v1]]")

    assert limited.headers["retry-after"] == "7"
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.1:9/v1")


def test_fail_once_fails_the_first_call_of_its_name(upstream):
    name = uuid.uuid4().hex

    statuses = [upstream.ask(f"[[fail once {name}]]").status_code for _ in range(3)]

    assert statuses == [503, 200, 200]


def test_fail_n_fails_n_calls_with_the_fault_beside_it(upstream):
    name = uuid.uuid4().hex

    statuses = [upstream.ask(f"[[fail 2 {name}]] [[status 429]]").status_code for _ in range(3)]

    assert statuses == [429, 429, 200]


def test_html_and_empty_take_the_place_of_the_answer(upstream):
    page = upstream.ask("[[status 502]] [[html]]")
    nothing = upstream.ask("[[empty]]")

    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert page.text.startswith("<!doctype html>")
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert upstream.bill() == ("failed", 0, 0)


def test_cookie_adds_headers_that_must_not_be_passed_on(upstream):
    answer = upstream.ask("[[cookie]]")

    assert answer.headers["set-cookie"] == "upstream_session=1; Path=/"
    assert answer.headers["x-upstream-internal"] == "10.0.0.7"


def test_gzip_bomb_unpacks_to_mebibytes(upstream):
    answer = upstream.ask("[[gzip bomb 2]]")

    assert int(answer.headers["content-length"]) < 10_000
    assert len(answer.content) == 2 * 1_048_576


# Connections


def test_drop_closes_the_connection_without_an_answer(upstream):
    with pytest.raises(httpx.RemoteProtocolError):
        upstream.ask("[[drop]]")

    assert upstream.bill() == ("failed", 0, 0)
    assert upstream.last_call()["status"] == 0


def test_bill_and_drop_bills_what_nobody_gets(upstream):
    with pytest.raises(httpx.RemoteProtocolError):
        upstream.ask("[[bill and drop]]")

    assert upstream.bill() == ("cut", 8, 8)


async def test_after_cancel_bills_the_rest_after_the_client_has_left(upstream):
    body = upstream.body("[[pace 60000]] [[after cancel]]", "echo", {"stream": True})
    async with httpx.AsyncClient(headers=upstream.client.headers, timeout=10) as client:
        async with client.stream("POST", f"{upstream.url}/v1/chat/completions", json=body) as answer:
            await anext(answer.aiter_raw())
        for _ in range(1_000):
            if upstream.last_call()["outcome"] != "running":
                break
            await asyncio.sleep(0.01)

    assert upstream.bill() == ("cancelled", 11, 8)


# Breaks


def test_cut_breaks_the_connection_after_its_tokens(upstream):
    received, problem = upstream.read("[[cut 3]]")

    assert isinstance(problem, httpx.RemoteProtocolError)
    assert text_of(parse_events(received)) == "w01 w02 w03 "
    assert upstream.bill() == ("cut", 6, 3)


def test_cut_sends_half_of_a_whole_answer_and_bills_all(upstream):
    with pytest.raises(httpx.RemoteProtocolError):
        upstream.ask("[[cut 3]]")

    assert upstream.bill() == ("cut", 6, 8)


def test_end_ends_the_stream_cleanly_but_without_done(upstream):
    events = upstream.read_events("[[end 3]]")

    assert text_of(events) == "w01 w02 w03 "
    assert events[-1]["choices"][0]["finish_reason"] is None
    assert upstream.bill() == ("cut", 6, 3)


def test_end_leaves_a_whole_answer_with_half_its_json(upstream):
    answer = upstream.ask("[[end 3]]")

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(
    ("point", "last"),
    [("", None), ("0", "role"), ("99", "w08 "), ("done", "usage")],
)
def test_a_break_strikes_at_the_start_after_any_token_or_before_done(upstream, point, last):
    events = upstream.read_events(f"[[end {point}]]", **USAGE)

    if last is None:
        assert events == []
        assert upstream.bill() == ("failed", 0, 0)
    elif last == "role":
        assert [event["choices"][0]["delta"]["role"] for event in events] == ["assistant"]
    elif last == "usage":
        assert events[-1]["usage"]["completion_tokens"] == 8
    else:
        assert events[-1]["choices"][0]["delta"] == {"content": last}


def test_stall_stops_sending_and_keeps_the_connection_open(upstream):
    received, problem = upstream.read("[[stall 2]]", timeout_seconds=0.3)
    half, whole_problem = upstream.read("[[stall 2]]", timeout_seconds=0.3, stream=False)

    assert isinstance(problem, httpx.ReadTimeout)
    assert isinstance(whole_problem, httpx.ReadTimeout)
    assert text_of(parse_events(received)) == "w01 w02 "
    assert half.startswith(b'{"id":"chatcmpl-')
    assert b'"usage"' not in half


def test_error_is_an_object_in_the_stream_that_the_sdk_raises(upstream):
    events = upstream.read_events("[[error 3]]")
    client = openai.OpenAI(base_url=f"{upstream.url}/v1", api_key=upstream.key, max_retries=0)
    messages = [{"role": "user", "content": "[[error 3]]"}]

    assert text_of(events) == "w01 w02 w03 "
    assert events[-1]["error"]["type"] == "server_error"
    assert upstream.bill() == ("cut", 6, 3)
    with pytest.raises(openai.APIError, match="failed midway"):
        list(client.chat.completions.create(model="echo", messages=messages, stream=True))


def test_error_event_has_its_name_and_a_whole_error_has_status_200(upstream):
    received, _ = upstream.read("[[error event 1]]")
    whole = upstream.ask("[[error]]")

    assert b"event: error\ndata: {" in received
    assert (whole.status_code, list(whole.json())) == (200, ["error"])
    assert upstream.bill() == ("failed", 0, 0)


def test_truncated_ends_within_the_json_of_an_event(upstream):
    received, problem = upstream.read("[[truncated 1]]")

    lines = received.decode().strip().split("\n\n")
    assert problem is None
    assert json.loads(lines[1].removeprefix("data: "))["choices"][0]["delta"]["content"] == "w01 "
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[-1].removeprefix("data: "))


def test_garbage_is_the_whole_body_or_an_event_of_the_stream(upstream):
    whole = upstream.ask("[[garbage]]")
    billed = upstream.bill()
    received, _ = upstream.read("[[garbage 2]]")

    assert whole.content == GARBAGE_BYTES
    assert billed == ("failed", 0, 0)
    assert received.endswith(b"data: " + GARBAGE_BYTES + b"\n\n")
    assert upstream.bill() == ("cut", 7, 2)


# What the answer says


def test_tokens_pace_first_and_overrun_shape_the_answer(upstream):
    forty = upstream.ask("[[tokens 40]] [[pace 0]]", model="slow").json()
    overrun = upstream.ask("[[overrun 80]]", max_tokens=8).json()
    paced = upstream.read_events("[[tokens 3]] [[pace 1]] [[first 1]] [[delay 1]]")

    assert forty["usage"]["completion_tokens"] == 40
    assert overrun["usage"]["completion_tokens"] == 80
    assert text_of(paced) == "w01 w02 w03 "


def test_waits_lie_before_the_headers_the_first_token_and_each_other_one():
    text = "[[tokens 3]] [[delay 500]] [[first 200]] [[pace 30]]"
    message = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    stream, whole = (
        script_chat(
            json.dumps(message | {"stream": is_stream}).encode(), key="k", failures=FailureCounts()
        ).script
        for is_stream in (True, False)
    )

    assert (stream.header_delay_seconds, whole.header_delay_seconds) == (0.5, 0.5)
    assert [step.wait_seconds for step in stream.steps] == [0.2, 0.03, 0.03]
    assert [step.wait_seconds for step in whole.steps] == [0.26]


def test_a_very_long_answer_is_counted_to_its_last_token(upstream):
    received, _ = upstream.read("[[tokens 5000]]")

    assert len(text_of(parse_events(received))) == 20_000
    assert upstream.bill() == ("completed", 7, 5_000)


@pytest.mark.parametrize(
    ("trigger", "finish_reason", "tokens"),
    [("[[finish length]]", "length", 8), ("[[content filter]]", "content_filter", 4)],
)
def test_the_finish_reason_can_be_chosen(upstream, trigger, finish_reason, tokens):
    answer = upstream.ask(trigger).json()

    assert answer["choices"][0]["finish_reason"] == finish_reason
    assert answer["usage"]["completion_tokens"] == tokens


def test_no_finish_leaves_out_the_finish_reason(upstream):
    assert upstream.ask("[[no finish]]").json()["choices"][0]["finish_reason"] is None
    assert upstream.read_events("[[no finish]]")[-2]["choices"][0]["delta"] == {"content": "w08 "}


def test_same_id_repeats_the_id_and_other_model_names_another(upstream):
    ids = {upstream.ask("[[same id]]").json()["id"] for _ in range(2)}

    assert ids == {"chatcmpl-555555555555555555555555"}
    assert upstream.last_call()["id"] in ids
    assert upstream.ask("[[other model]]").json()["model"] == "another-model"


def test_huge_line_is_one_event_of_at_least_its_bytes(upstream):
    received, _ = upstream.read("[[huge line 100000]]")

    assert max(map(len, received.split(b"\n"))) > 100_000
    assert text_of(parse_events(received)) == "w01 w02 w03 w04 w05 w06 w07 w08 "
    assert len(upstream.ask("[[huge line 100000]]").content) > 100_000


# Usage


def test_no_usage_sends_none_though_it_was_asked_for(upstream):
    assert "usage" not in upstream.ask("[[no usage]]").json()
    assert all(
        event == "[DONE]" or not event["usage"] for event in upstream.read_events("[[no usage]]", **USAGE)
    )
    assert upstream.bill() == ("completed", 6, 8)


@pytest.mark.parametrize(
    ("trigger", "completion_tokens"),
    [
        ("[[usage twice]]", [4, 8]),
        ("[[usage each]]", [1, 2, 3, 4, 5, 6, 7, 8, 8]),
        ("[[usage negative]]", [-8]),
        ("[[usage huge]]", [2**63]),
        ("[[usage null]]", []),
        ('[[usage {"prompt_tokens":3,"completion_tokens":9}]]', [9]),
    ],
)
def test_usage_can_be_wrong_while_the_invoice_is_right(upstream, trigger, completion_tokens):
    events = upstream.read_events(trigger, **USAGE)

    usages = [event["usage"] for event in events if event != "[DONE]" and event["usage"]]
    assert [usage["completion_tokens"] for usage in usages] == completion_tokens
    assert upstream.bill()[2] == 8


# Framing


@pytest.mark.parametrize(
    ("trigger", "ending"),
    [
        ("[[no done]]", ["stop"]),
        ("[[done twice]]", ["stop", "[DONE]", "[DONE]"]),
        ("[[after done]]", ["stop", "[DONE]", "stop"]),
    ],
)
def test_done_can_be_missing_doubled_or_followed(upstream, trigger, ending):
    events = upstream.read_events(trigger)

    endings = [event if event == "[DONE]" else event["choices"][0]["finish_reason"] for event in events]
    assert [one for one in endings if one] == ending


@pytest.mark.parametrize(
    ("trigger", "separators"),
    [
        ("[[crlf]]", [b"\r\n\r\n"]),
        ("[[cr]]", [b"\r\r"]),
        ("[[mixed lines]]", [b"\n\n", b"\r\n\r\n", b"\r\r"]),
        ("[[comments]]", [b": keep-alive\n\n"]),
        ("[[bytes]]", [b"\n\n"]),
    ],
)
def test_lines_can_end_in_every_way_and_comments_stand_between(upstream, trigger, separators):
    received, problem = upstream.read(trigger)

    assert problem is None
    assert all(separator in received for separator in separators)
    assert text_of(parse_events(received)) == "w01 w02 w03 w04 w05 w06 w07 w08 "


def test_u2028_tokens_hold_a_line_separator_unescaped(upstream):
    received, _ = upstream.read("[[u2028]]")

    text = text_of(parse_events(received))
    assert text.count("\u2028") == 8
    assert len(text.encode()) == 32
    assert "\u2028".encode() in received


def test_split_writes_end_inside_utf8_sequences(upstream):
    body = upstream.body("[[split]]", "echo", {"stream": True})
    with upstream.client.stream("POST", f"{upstream.url}/v1/chat/completions", json=body) as answer:
        pieces = list(answer.iter_raw())

    def is_whole(piece: bytes) -> bool:
        try:
            piece.decode()
        except UnicodeDecodeError:
            return False
        return True

    assert not all(map(is_whole, pieces))
    assert text_of(parse_events(b"".join(pieces))) == "😁😂😃😄😅😆😇😈"


# Trigger words themselves


def test_only_the_last_user_message_triggers(upstream):
    history = [
        {"role": "user", "content": "[[status 500]]"},
        {"role": "assistant", "content": "[[status 501]]"},
        {"role": "user", "content": [{"type": "text", "text": "see [[Wiki]] [[tokens 2]]"}]},
        {"role": "system", "content": "[[status 502]]"},
    ]

    answer = upstream.ask("", messages=history)

    assert answer.json()["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    "trigger", ["[[status]]", "[[status 99]]", "[[cut many]]", "[[tokens -1]]", "[[fail once]]"]
)
def test_a_trigger_word_with_an_unusable_argument_is_refused(upstream, trigger):
    answer = upstream.ask(trigger)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_trigger")


@pytest.mark.parametrize("name", [*TRIGGERS, *MODELS])
def test_the_page_explains_every_model_and_trigger_word(name):
    page = Path(ROOT, "docs/simulator.md").read_text()

    assert f"`{name}`" in page or f"`[[{name}]]`" in page or f"`[[{name} " in page


# The invoice's bounds


async def test_the_invoice_forgets_the_oldest_calls_but_not_their_sum():
    simulator = Simulator(max_calls=2)
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": "Bearer key"}
    transport = httpx.ASGITransport(simulator)
    async with httpx.AsyncClient(transport=transport, base_url="http://fake", headers=headers) as client:
        ids = [(await client.post("/v1/chat/completions", json=body)).json()["id"] for _ in range(3)]

        kept = (await client.get("/invoice")).json()
        forgotten = await client.get(f"/invoice/{ids[0]}")
        await client.delete("/invoice")
        emptied = (await client.get("/invoice")).json()

    assert [call["id"] for call in kept["requests"]] == ids[1:]
    assert kept["totals"]["completion_tokens"] == 24
    assert kept["by_model"]["echo"]["requests"] == 3
    assert kept["by_outcome"] == {"completed": 3}
    assert forgotten.status_code == 404
    assert (emptied["requests"], emptied["totals"]["requests"]) == ([], 0)
