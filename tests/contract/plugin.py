"""A pytest plugin: the marker `contract`, and the page that a run of the marked tests writes.

`@pytest.mark.contract("3.2 temperature")` says that a test proves this row of the contract's
tables. A name that is no row ends the run at once. With `--contract-page PATH` the outcomes are
written there (`make contract`); tests that are marked but were not run keep what is written of them.
"""

from collections import defaultdict
from pathlib import Path

import pytest

from tests.contract.marks import marked_tests
from tests.contract.page import Verdict, read, render
from tests.contract.rows import NAMES

MARKER = 'contract(*rows): proves rows of tests/contract/rows.py, such as "3.2 temperature"'


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contract-page", type=Path, help="write the contract's rows and outcomes there")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    path: Path | None = config.getoption("--contract-page")
    if path is not None:
        config.pluginmanager.register(Recorder(path))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if strange := rows_of(item) - NAMES:
            raise pytest.UsageError(f"{item.nodeid}: no rows of tests/contract/rows.py: {sorted(strange)}")


def rows_of(item: pytest.Item) -> set[str]:
    return {str(row) for mark in item.iter_markers("contract") for row in mark.args}


class Recorder:
    """Remembers how each marked case ended, and writes the page at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, set[str]] = {}
        self._failed: set[str] = set()
        self._passed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._rows = {item.nodeid: rows for item in session.items if (rows := rows_of(item))}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        elif not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        verdicts: dict[str, dict[str, Verdict]] = defaultdict(dict, self._kept())
        for case, rows in self._rows.items():
            test = case.partition("[")[0]
            has_passed = case in self._passed and case not in self._failed
            for row in rows:
                before = verdicts[row].get(test, Verdict(0, 0))
                verdicts[row][test] = Verdict(before.passed + has_passed, before.cases + 1)
        self._path.write_text(render(verdicts), encoding="utf-8")

    def _kept(self) -> dict[str, dict[str, Verdict]]:
        """What an earlier run wrote of tests that still have their mark and were not run in this one."""
        earlier = read(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        run = {case.partition("[")[0] for case in self._rows}
        marked = marked_tests()
        return {
            row: {
                test: verdict
                for test, verdict in line.tests.items()
                if test not in run and test in marked.get(row, ())
            }
            for row, line in earlier.items()
        }
