"""What differs between the mounts is in gateway/wire/dialect.py: nobody else asks which mount was called."""

import ast

from gateway.wire.dialect import DIALECTS
from tests.architecture.source import modules

# Where paths are bound to applications.
ROUTES = {"gateway/wire/dialect.py", "gateway/asgi.py"}


def test_no_module_compares_with_a_mount():
    asking = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if module.path.startswith("gateway/") and module.path not in ROUTES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Compare | ast.Match)
        and any(isinstance(part, ast.Constant) and part.value in DIALECTS for part in ast.walk(node))
    ]

    assert asking == []


def test_no_module_takes_one_dialect_for_special():
    names = {"V0", "API_V1", "OPENAI_V1"}
    asking = [
        module.path
        for module in modules()
        if module.path not in ROUTES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.wire.dialect"
        if names & {alias.name for alias in node.names}
    ]

    assert asking == []
