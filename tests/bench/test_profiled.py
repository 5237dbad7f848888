"""Samples become shares, by function and by module."""

import pytest

from bench.profiled import STANDARD_LIBRARY, Samples, module_of, render
from tests.architecture.source import ROOT


def test_functions_and_modules_are_shares_of_all_samples():
    read, count, parse = ("gateway/meter.py", "read"), ("gateway/meter.py", "count"), ("uuid.py", "parse")
    own = {read: 30, count: 10, parse: 60}
    below = {**own, read: 40}

    lines = render(own, below).splitlines()

    assert lines[0] == "# Where the gateway's time went: 100 samples"
    assert lines[4:7] == [
        "| `uuid.py` parse | 60.0% | 60.0% |",
        "| `gateway/meter.py` read | 30.0% | 40.0% |",
        "| `gateway/meter.py` count | 10.0% | 10.0% |",
    ]
    assert lines[-2:] == ["| `uuid.py` | 60.0% |", "| `gateway/meter.py` | 40.0% |"]


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (f"{ROOT}/gateway/meter.py", "gateway/meter.py"),
        (f"{ROOT}/.venv/lib/{STANDARD_LIBRARY}/site-packages/httpx/_models.py", "httpx/_models.py"),
        (f"/usr/lib/{STANDARD_LIBRARY}/asyncio/tasks.py", "asyncio/tasks.py"),
        ("<string>", "<string>"),
    ],
)
def test_a_module_is_named_without_the_place_of_its_library(path, module):
    assert module_of(path) == module


def test_a_function_that_calls_itself_is_counted_once_for_each_sample():
    samples = Samples()
    frame = frame_of_depth(3)

    samples.take(0, frame)

    place = (__file__, "frame_of_depth")
    assert (samples.own[place], samples.below[place]) == (1, 1)


def frame_of_depth(depth):
    if depth:
        return frame_of_depth(depth - 1)
    try:
        raise ValueError
    except ValueError as error:
        return error.__traceback__.tb_frame
