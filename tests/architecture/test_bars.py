"""The bars of CONVENTIONS: sizes, docstrings, names, and no binary fractions of money."""

import ast
import statistics

import pytest

from tests.architecture.source import modules

FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "core",
    "manager",
    "managers",
    "misc",
    "base_utils",
}


def too_long(things, most):
    return [f"{name}: {line_count} lines" for name, line_count in things if line_count > most]


def test_no_module_is_longer_than_400_lines():
    assert too_long(((module.path, module.line_count) for module in modules()), 400) == []


def test_half_of_the_modules_fit_in_120_lines():
    assert statistics.median(module.line_count for module in modules() if not module.is_empty) <= 120


def test_no_function_is_longer_than_60_lines():
    functions = [function for module in modules() for function in module.functions()]

    assert too_long(((function.place, function.line_count) for function in functions), 60) == []


def test_half_of_the_functions_fit_in_10_lines_and_99_of_100_in_50():
    lengths = sorted(function.line_count for module in modules() for function in module.functions())

    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.99)] <= 50


def test_every_module_says_what_lives_in_it():
    silent = [
        module.path for module in modules() if not module.is_empty and not ast.get_docstring(module.tree)
    ]

    assert silent == []


def test_no_module_is_called_after_nothing():
    names = {module.path: module.path.rsplit("/", 1)[-1].removesuffix(".py") for module in modules()}

    assert [path for path, name in names.items() if name in FORBIDDEN_NAMES] == []


def test_no_money_becomes_a_binary_fraction():
    converting = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if module.path.startswith("billing/")
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "float"
    ]

    assert converting == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX"])
def test_nothing_is_left_to_do_without_an_issue(word):
    left = [
        f"{module.path}:{number}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), start=1)
        if word in line and "TODO(#" not in line
    ]

    assert left == []
