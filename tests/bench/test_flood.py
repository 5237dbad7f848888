"""What wrk prints becomes figures; what it does not print is an error that says so."""

import pytest

from bench.flood import parse_report
from bench.load import Load, LoadFailed, from_json, to_json

REPORT = """\
Running 2s test @ http://127.0.0.1:18101/v0/chat/completions
  1 threads and 32 connections
  2110 requests in 2.00s, 1.42MB read

{"answers":2110,"duration_us":2000000,"refused":10,"broken":3,"late":2,"p50_us":11000,"p95_us":15500,"p99_us":21250}
"""


def test_the_figures_are_those_of_good_answers_alone():
    figures = parse_report(REPORT)

    assert figures == {
        "requests": 2100,
        "seconds": 2.0,
        "per_second": 1050.0,
        "refused": 10,
        "errors": 15,
        "total_p50_ms": 11.0,
        "total_p95_ms": 15.5,
        "total_p99_ms": 21.25,
    }


def test_without_a_good_answer_there_are_no_times():
    told = (
        '{"answers":7,"duration_us":1000000,"refused":7,"broken":0,"late":0,"p50_us":1,"p95_us":1,"p99_us":1}'
    )

    figures = parse_report(told)

    assert figures == {"requests": 0, "seconds": 1.0, "per_second": 0.0, "refused": 7, "errors": 7}


def test_a_report_without_figures_says_what_wrk_complained_about():
    with pytest.raises(LoadFailed, match="unable to connect"):
        parse_report("", "unable to connect to 127.0.0.1:1 Connection refused")


def test_no_answer_at_all_is_no_measurement():
    told = (
        '{"answers":0,"duration_us":1000000,"refused":0,"broken":0,"late":0,"p50_us":0,"p95_us":0,"p99_us":0}'
    )

    with pytest.raises(LoadFailed, match="not one answer came"):
        parse_report(told)


def test_a_load_reaches_the_clients_unchanged():
    load = Load(
        kind="paced",
        port=18101,
        path="/v0/chat/completions",
        headers={"Authorization": "Bearer fbx_1"},
        body=b'{"model":"fake/echo"}',
        clients=500,
        seconds=5.0,
        answer_seconds=5.0,
        watched_pid=77,
    )

    assert from_json(to_json(load)) == load
    assert load.request() == (
        b"POST /v0/chat/completions HTTP/1.1\r\n"
        b"Host: 127.0.0.1:18101\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 21\r\n"
        b"Authorization: Bearer fbx_1\r\n"
        b"\r\n"
        b'{"model":"fake/echo"}'
    )
