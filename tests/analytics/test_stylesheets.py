"""The language of form: only tokens.css names colours and pixels, and pages name no style at all."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STYLESHEETS = sorted(path for path in (ROOT / "static" / "css").glob("*.css") if path.name != "tokens.css")
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
RAW_COLOUR = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|lab|color-mix)a?\(", re.IGNORECASE)
RAW_PIXELS = re.compile(r"\b\d*\.?\d+px\b")
INLINE = re.compile(r"""\sstyle=|\son[a-z]+=["']|<style|javascript:|<script(?![^>]*\ssrc=)""", re.IGNORECASE)
FOREIGN = re.compile(r"""(?:src|href)=["'](?:https?:)?//""")


def test_there_is_something_to_look_at() -> None:
    assert len(STYLESHEETS) >= 4
    assert len(TEMPLATES) >= 40


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_a_stylesheet_names_no_colour_and_no_pixel(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)

    assert RAW_COLOUR.findall(text) == []
    assert RAW_PIXELS.findall(text) == []


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_every_token_that_is_used_exists(path: Path) -> None:
    known = set(re.findall(r"^\s*(--[\w-]+):", (ROOT / "static/css/tokens.css").read_text(), re.MULTILINE))

    assert set(re.findall(r"var\((--[\w-]+)", path.read_text())) <= known


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_nothing_inline_and_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()

    assert INLINE.findall(text) == []
    assert FOREIGN.findall(text) == []


def test_vendored_files_are_named_with_version_and_licence() -> None:
    listed = (ROOT / "static/vendor/README.md").read_text()

    for path in (ROOT / "static/vendor").iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in listed
