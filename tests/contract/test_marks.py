"""The marks of the contract's rows: how they are read, and that each names a row that there is."""

import pytest

from tests.contract.marks import marked_tests, marks_of
from tests.contract.page import Line, Verdict, read, render
from tests.contract.rows import NAMES, ROWS

MARKED = """
import pytest

pytestmark = pytest.mark.contract("3.1 Chat path")


@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.contract("3.2 stop"))])
@pytest.mark.contract("3.2 n", "3.2 seed")
async def test_one(x): ...


def test_two(): ...
"""
LOOSE = 'import pytest\nCASES = [pytest.param(1, marks=pytest.mark.contract("3.2 n"))]\ndef test_one(): ...\n'


def test_every_mark_names_a_row() -> None:
    assert set(marked_tests()) - NAMES == set()


def test_every_row_has_a_name_of_its_own() -> None:
    assert len(NAMES) == len(ROWS) == 74


def test_marks_are_read_from_decorators_and_from_the_module() -> None:
    assert sorted(marks_of(MARKED, "x")) == [
        ("3.1 Chat path", "test_one"),
        ("3.1 Chat path", "test_two"),
        ("3.2 n", "test_one"),
        ("3.2 seed", "test_one"),
        ("3.2 stop", "test_one"),
    ]


def test_a_mark_that_stands_on_no_test_is_refused() -> None:
    with pytest.raises(AssertionError, match="put the mark of a row on the test function"):
        list(marks_of(LOOSE, "x"))


def test_the_page_is_read_as_it_was_written() -> None:
    tests = {"tests/a/test_a.py::test_one": Verdict(2, 3), "tests/a/test_b.py::test_two": Verdict(1, 1)}

    lines = read(render({"3.3 Ordered fallback": tests}))

    assert set(lines) == NAMES
    assert lines["3.3 Ordered fallback"] == Line("`a|b`, `a->b`, lists and `fallbacks` are one engine", tests)
    assert lines["3.4 Rate limit"].tests == {}
