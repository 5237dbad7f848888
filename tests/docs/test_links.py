"""What the documents point to is there: files, headings, make targets, settings, commands."""

import re
from importlib import import_module

import pytest

from config.env import render_reference
from tests.docs.pages import ROOT, page, pages

COMMANDS = ("accounts", "billing", "gateway", "analytics")
BUILT_IN_COMMANDS = {"createsuperuser", "migrate", "shell"}
# Of demo.env, which make run writes.
DEMO_VARIABLES = {"FAREBOX_URL", "FAREBOX_API_KEY"}


@pytest.mark.parametrize("name", [page.name for page in pages()])
def test_every_link_leads_somewhere(name):
    broken = [target for target in page(name).links() if not leads_somewhere(name, target)]

    assert broken == []


def leads_somewhere(name, target):
    path, _, anchor = target.partition("#")
    found = (ROOT / name).parent / path if path else ROOT / name
    if not found.exists():
        return False
    return not anchor or anchor in page(str(found.resolve().relative_to(ROOT))).anchors()


@pytest.mark.parametrize("name", [page.name for page in pages()])
def test_every_file_that_is_named_in_code_is_there(name):
    pattern = r"`((?:accounts|analytics|billing|config|deploy|docs|gateway|static|templates|tests)/[\w./-]+)`"
    named = re.findall(pattern, page(name).text)

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [page.name for page in pages()])
def test_every_make_target_exists(name):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", page(name).code()))

    assert named <= targets


@pytest.mark.parametrize("name", [page.name for page in pages()])
def test_every_setting_is_one(name):
    listed = set(re.findall(r"^\| `(\w+)`", render_reference(), re.MULTILINE)) | DEMO_VARIABLES
    named = set(re.findall(r"\bFAREBOX_[A-Z_]+\b", page(name).text))

    assert {variable for variable in named if variable.removesuffix("_FILE") not in listed} == set()


@pytest.mark.parametrize("name", [page.name for page in pages()])
def test_every_management_command_exists(name):
    ours = {path.stem for room in COMMANDS for path in (ROOT / room).glob("management/commands/[a-z]*.py")}
    named = set(re.findall(r"manage\.py ([a-z]+)", page(name).text))

    assert named <= ours | BUILT_IN_COMMANDS


def test_the_operator_s_imports_work():
    lines = re.findall(r"^from (\w+(?:\.\w+)+) import (.+)$", page("docs/runbook.md").text, re.MULTILINE)

    assert lines
    for module, names in lines:
        assert [name for name in names.split(", ") if not hasattr(import_module(module), name)] == []
