"""The seeded bugs as values: where each goes, what it changes, which test must notice."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("mutants.toml")
ROOT = FILE.parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One small textual change."""

    name: str
    promise: str
    path: str
    old: str
    new: str
    test: str

    def applied(self, root: Path) -> str:
        """The text of its file with the bug in it. Raises ValueError unless the old text is there once."""
        text = (root / self.path).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its old text stands {count} times in {self.path}")
        return text.replace(self.old, self.new)

    @property
    def test_file(self) -> str:
        return self.test.partition("::")[0]

    @property
    def test_function(self) -> str:
        return self.test.rpartition("::")[2]


def mutants() -> list[Mutant]:
    """All of them, in the order of the file."""
    return [Mutant(**entry) for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["mutant"]]
