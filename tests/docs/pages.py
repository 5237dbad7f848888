"""The project's Markdown, read: files, links, headings and tables."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "billing/prices", "static/vendor")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def links(self) -> list[str]:
        """Targets that stay in the project; what stands in code is no link."""
        targets = re.findall(r"\]\(([^)\s]+)\)", CODE.sub("code", self.text))
        return [target for target in targets if not target.startswith(("http://", "https://"))]

    def code(self) -> str:
        """What stands in code, in blocks and in lines."""
        return "\n".join(CODE.findall(self.text))

    def section(self, title: str) -> "Page":
        """The part under a heading of the second level."""
        part = self.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        assert part, f"{self.name} has no section {title!r}"
        return Page(self.path, part)

    def anchors(self) -> set[str]:
        """Its headings as they are addressed: `#the-path-of-one-request`."""
        headings = re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}

    def rows(self) -> list[list[str]]:
        """The cells of all table rows, without the lines under the headings."""
        lines = [line for line in self.text.splitlines() if line.startswith("|") and set(line) - set("|-: ")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def pages() -> tuple[Page, ...]:
    """Every page that we write: the root's, docs/ and those beside the data they describe."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
    return tuple(Page(path, path.read_text(encoding="utf-8")) for path in paths)


def page(name: str) -> Page:
    return next(page for page in pages() if page.name == name)
