"""docs/contract.md: written from a run of the marked tests, and read again to see that it is not stale."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.contract.marks import ROOT
from tests.contract.rows import ROWS, SECTIONS, Row

PATH = ROOT / "docs" / "contract.md"
NO_TEST = "none"
CELL_END = re.compile(r"(?<!\\)\|")
FILE = re.compile(r"\[[^\]]*\]\(\.\./(?P<path>[^)]+)\): (?P<functions>[^<]+)")
HEAD = """\
# The contract, row by row

The rows are those of the contract's tables: what the documents of five gateways ask for, what Farebox does
about it, and the tests that prove it. `make contract` writes this page from a run of exactly these tests;
`make test` fails when a test or a row is missing here, and when a case is listed that did not pass.
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
    tests: frozenset[str]
    verdict: Verdict


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
            feature, serves, tests, passed = (
                cell.strip().replace("\\|", "|") for cell in CELL_END.split(row)[1:-1]
            )
            lines[f"{number} {feature}"] = Line(serves, frozenset(_tests(tests)), _verdict(passed))
    return lines


def _section(number: str, title: str, verdicts: Verdicts) -> str:
    head = f"\n## {number} {title}\n\n| Row | What Farebox does | Proved by | Passed |\n|---|---|---|---|\n"
    return head + "".join(_row(row, verdicts.get(row.name, {})) for row in ROWS if row.section == number)


def _row(row: Row, tests: Mapping[str, Verdict]) -> str:
    passed = sum(verdict.passed for verdict in tests.values())
    cases = sum(verdict.cases for verdict in tests.values())
    cells = [row.feature, row.serves, "<br>".join(_files(tests)) or NO_TEST, f"{passed} of {cases}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _files(tests: Iterable[str]) -> list[str]:
    """Each file as a link, with its tests."""
    by_file: dict[str, list[str]] = {}
    for test in sorted(tests):
        path, _, function = test.partition("::")
        by_file.setdefault(path, []).append(f"`{function}`")
    return [
        f"[{path.removeprefix('tests/')}](../{path}): {', '.join(names)}" for path, names in by_file.items()
    ]


def _tests(cell: str) -> list[str]:
    return [
        f"{file['path']}::{function}"
        for file in FILE.finditer(cell)
        for function in re.findall(r"`(test_\w+)`", file["functions"])
    ]


def _verdict(cell: str) -> Verdict:
    passed, _, cases = cell.partition(" of ")
    return Verdict(int(passed), int(cases))
