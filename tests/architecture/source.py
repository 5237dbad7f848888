"""The project's own source, parsed: which modules there are and which functions they hold."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "accounts", "billing", "gateway", "analytics")


@dataclass(frozen=True, slots=True)
class Function:
    place: str
    line_count: int


@dataclass(frozen=True, slots=True)
class Module:
    path: str
    text: str
    tree: ast.Module

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    @property
    def is_empty(self) -> bool:
        return not self.text.strip()

    def functions(self) -> list[Function]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, kinds)]
        return [
            Function(f"{self.path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)
            for node in nodes
        ]

    def imported(self) -> set[str]:
        """Dotted names of everything imported anywhere in the module."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
        return names

    def has_async(self) -> bool:
        kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
        return any(isinstance(node, kinds) for node in ast.walk(self.tree))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the five rooms but the migrations."""
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return tuple(_parsed(path) for path in paths if "migrations" not in path.parts)


def _parsed(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(path=str(path.relative_to(ROOT)), text=text, tree=ast.parse(text))
