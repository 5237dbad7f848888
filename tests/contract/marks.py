"""Which test functions are marked with which rows, read from their source: nothing is imported or run."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
MARKER = "contract"


def marked_tests() -> dict[str, set[str]]:
    """The tests of each row, as `tests/flows/test_sdk.py::test_a_plain_answer`."""
    tests: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if f"mark.{MARKER}(" in source:
            name = path.relative_to(ROOT).as_posix()
            for row, function in marks_of(source, name):
                tests.setdefault(row, set()).add(f"{name}::{function}")
    return tests


def marks_of(source: str, name: str) -> Iterator[tuple[str, str]]:
    """Each row that is named by a decorator or by the module's `pytestmark`, with its test function."""
    module = ast.parse(source)
    everywhere = [row for node in module.body if _is_pytestmark(node) for row in _rows(node)]
    found = len(everywhere)
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
            own = [row for decorator in function.decorator_list for row in _rows(decorator)]
            found += len(own)
            for row in [*everywhere, *own]:
                yield row, function.name
    assert found == len(list(_rows(module))), f"{name}: put the mark of a row on the test function itself"


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def _rows(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{MARKER}":
            for argument in node.args:
                yield ast.literal_eval(argument)
