"""YAML for price files: decimals instead of floats, no repeated keys, errors with file and line.

What the fields mean is in `billing.price_files`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from billing.errors import PriceBookError

MAX_PRICE_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One mapping of a price file, with where it stands."""

    file: str
    line: int
    values: dict[str, Any]

    def error(self, message: str) -> PriceBookError:
        """A PriceBookError that names the file, the line and, where there is one, the model."""
        subject = f" ({self.values['model']})" if "model" in self.values else ""
        return PriceBookError(f"{self.file}:{self.line}{subject}: {message}")

    def allow(self, *names: str) -> None:
        """Raises PriceBookError for a field that is none of these."""
        unknown = sorted(set(self.values) - set(names))
        if unknown:
            raise self.error(f"unknown fields {unknown}")

    def has(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> Any:
        if name not in self.values:
            raise self.error(f"{name} is missing")
        return self.values[name]

    def text(self, name: str, *, default: str | None = None) -> str:
        value = self.get(name) if default is None else self.values.get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{name} must be a text, got {value!r}")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"{name} must be a list of texts, got {value!r}")
        return value

    def url(self, name: str) -> str:
        value = self.text(name)
        if not value.startswith(("https://", "http://127.0.0.1")):
            raise self.error(f"{name} must be an https URL, got {value!r}")
        return value

    def day(self, name: str) -> date:
        value = self.get(name)
        if type(value) is not date:
            raise self.error(f"{name} must be a day such as 2026-01-31, got {value!r}")
        return value

    def count(self, name: str) -> int:
        value = self.get(name)
        if type(value) is not int or value <= 0:
            raise self.error(f"{name} must be a positive integer, got {value!r}")
        return value

    def decimal(self, name: str) -> Decimal:
        value = self.get(name)
        if type(value) is int:
            return Decimal(value)
        if not isinstance(value, Decimal) or not value.is_finite():
            raise self.error(f"{name} must be a number, got {value!r}")
        return value

    def entry(self, name: str) -> "Entry":
        value = self.get(name)
        if not isinstance(value, Entry):
            raise self.error(f"{name} must be a mapping, got {value!r}")
        return value

    def entries(self, name: str) -> list["Entry"]:
        value = self.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(item, Entry) for item in value):
            raise self.error(f"{name} must be a list of mappings with at least one")
        return value

    def named_entries(self, name: str) -> dict[str, "Entry"]:
        """The mapping's mappings by their names, in the order they are written."""
        found = self.entry(name).values
        if not found or not all(isinstance(each, Entry) for each in found.values()):
            raise self.error(f"{name} must be a mapping of names to mappings, got {sorted(found)}")
        return found


def read_entry(path: Path) -> Entry:
    """The file's outermost mapping. Raises PriceBookError if it is not one or not YAML."""
    content = path.read_bytes()
    if len(content) > MAX_PRICE_FILE_BYTES:
        raise PriceBookError(f"{path.name}: larger than {MAX_PRICE_FILE_BYTES} bytes")
    loader = _Loader(content)
    loader.file = path.name
    try:
        document = loader.get_single_data()
    except (yaml.YAMLError, ValueError) as exc:
        raise PriceBookError(f"{path.name}: {exc}") from exc
    finally:
        loader.dispose()
    if not isinstance(document, Entry):
        raise PriceBookError(f"{path.name}: the file must be a mapping")
    return document


class _Loader(yaml.SafeLoader):
    file = ""

    def entry_of(self, node: yaml.MappingNode) -> Iterator[Entry]:
        line = node.start_mark.line + 1
        written = [key.value for key, _ in node.value]
        repeated = sorted({name for name in written if written.count(name) > 1})
        if repeated:
            raise PriceBookError(f"{self.file}:{line}: the fields {repeated} stand there twice")
        entry = Entry(self.file, line, {})
        yield entry
        self.flatten_mapping(node)
        entry.values.update(
            {str(name): value for name, value in self.construct_mapping(node, deep=True).items()}
        )

    def decimal_of(self, node: yaml.ScalarNode) -> Decimal:
        try:
            return Decimal(node.value)
        except ArithmeticError as exc:
            raise PriceBookError(
                f"{self.file}:{node.start_mark.line + 1}: {node.value!r} is not a decimal number"
            ) from exc


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.entry_of)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.decimal_of)
