"""The seeded bugs cannot rot: each applies to the source as it is, and its test exists."""

import ast

import pytest

from tests.architecture.source import ROOT
from tests.mutants.catalogue import Mutant, mutants

ALL = mutants()


def test_there_are_enough_of_them_and_each_has_a_name():
    assert len(ALL) >= 25
    assert len({mutant.name for mutant in ALL}) == len(ALL)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_each_applies_and_leaves_a_program(mutant: Mutant):
    mutated = mutant.applied(ROOT)

    assert mutant.old != mutant.new
    if mutant.path.endswith(".py"):
        ast.parse(mutated)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_each_is_held_by_a_test_that_exists(mutant: Mutant):
    tree = ast.parse((ROOT / mutant.test_file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)

    assert mutant.test_function in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
