"""docs/contract.md: written from a run of the marked tests, and read again to see that it is not stale."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.contract.marks import ROOT
from tests.contract.rows import ROWS, SECTIONS, Row

PATH = ROOT / "docs" / "contract.md"
NO_TEST = "none"
CELL_END = re.compile(r"(?<!\\)\|")
FILE = re.compile(r"\[[^\]]*\]\(\.\./(?P<path>[^)]+)\): (?P<functions>[^<]+)")
TEST = re.compile(r"`(?P<function>test_\w+)` (?P<passed>\d+)/(?P<cases>\d+)")
HEAD = """\
# The contract, row by row

The rows are those of the contract's tables: what the documents of five gateways ask for, what Farebox does
about it, and the tests that prove it, with how many of their cases passed. `make contract` writes this page
from a run of exactly these tests, `make contract ARGS=tests/flows` renews a part of it. `make test` fails
when a row or a test is missing here, and when a case is listed that did not pass.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the cases of one test ended."""

    passed: int
    cases: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row as the page has it."""

    serves: str
    tests: dict[str, Verdict]


Verdicts = Mapping[str, Mapping[str, Verdict]]
"""By row, then by test (`tests/flows/test_sdk.py::test_a_plain_answer`)."""


def render(verdicts: Verdicts) -> str:
    return HEAD + "".join(_section(number, title, verdicts) for number, title in SECTIONS.items())


def read(text: str) -> dict[str, Line]:
    """The page's rows by the names that tests know them by."""
    lines: dict[str, Line] = {}
    for section in text.split("\n## ")[1:]:
        number = section.partition(" ")[0]
        rows = [row for row in section.splitlines() if row.startswith("| ")]
        for row in rows[1:]:
            feature, serves, tests = (cell.strip().replace("\\|", "|") for cell in CELL_END.split(row)[1:-1])
            lines[f"{number} {feature}"] = Line(serves, _tests(tests))
    return lines


def _section(number: str, title: str, verdicts: Verdicts) -> str:
    head = f"\n## {number} {title}\n\n| Row | What Farebox does | Proved by |\n|---|---|---|\n"
    return head + "".join(_row(row, verdicts.get(row.name, {})) for row in ROWS if row.section == number)


def _row(row: Row, tests: Mapping[str, Verdict]) -> str:
    cells = [row.feature, row.serves, "<br>".join(_files(tests)) or NO_TEST]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _files(tests: Mapping[str, Verdict]) -> list[str]:
    """Each file as a link, with its tests and how many of their cases passed."""
    by_file: dict[str, list[str]] = {}
    for test, verdict in sorted(tests.items()):
        path, _, function = test.partition("::")
        by_file.setdefault(path, []).append(f"`{function}` {verdict.passed}/{verdict.cases}")
    return [
        f"[{path.removeprefix('tests/')}](../{path}): {', '.join(names)}" for path, names in by_file.items()
    ]


def _tests(cell: str) -> dict[str, Verdict]:
    return {
        f"{file['path']}::{test['function']}": Verdict(int(test["passed"]), int(test["cases"]))
        for file in FILE.finditer(cell)
        for test in TEST.finditer(file["functions"])
    }
