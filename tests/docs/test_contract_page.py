"""docs/contract.md is what the tests say: every row, every test that is marked with it, all passed."""

from tests.contract.marks import marked_tests
from tests.contract.page import PATH, read
from tests.contract.rows import ROWS

LINES = read(PATH.read_text(encoding="utf-8"))


def test_it_has_each_row_and_says_what_is_done_about_it() -> None:
    assert {name: line.serves for name, line in LINES.items()} == {row.name: row.serves for row in ROWS}


def test_no_row_is_without_a_test() -> None:
    assert [row.name for row in ROWS if not marked_tests().get(row.name)] == []


def test_it_lists_the_tests_that_are_marked_and_no_others() -> None:
    """Stale? `make contract`, or `make contract ARGS=tests/flows/test_x.py` for what is missing."""
    assert {name: set(line.tests) for name, line in LINES.items()} == marked_tests()


def test_all_of_them_have_passed() -> None:
    verdicts = [verdict for line in LINES.values() for verdict in line.tests.values()]

    assert [verdict for verdict in verdicts if verdict.passed != verdict.cases or verdict.cases < 1] == []
