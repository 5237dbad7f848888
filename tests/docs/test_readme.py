"""The README is true: the welcome it shows, the guarantees it lists, the rooms it names."""

import re
from pathlib import Path

from config.layout import Layout
from config.supervisor import _welcome
from tests.architecture.source import ROOMS
from tests.docs.pages import ROOT, page

README = page("README.md")
PLACEHOLDERS = {
    "FAREBOX_URL": "http://127.0.0.1:8000",
    "FAREBOX_API_KEY": "fbx_…",
    "FAREBOX_EMAIL": "demo@farebox.example",
    "FAREBOX_PASSWORD": "<password>",
}


def test_what_make_run_prints_is_what_the_readme_shows(tmp_path):
    demo = "".join(f"{name}={value}\n" for name, value in PLACEHOLDERS.items())
    (tmp_path / "demo.env").write_text(demo, encoding="utf-8")
    layout = Layout(root=ROOT, var=tmp_path, port=8000, simulator_port=8001)

    printed = _welcome(layout).replace(str(tmp_path), "<checkout>/var").strip()

    assert printed in README.text


def test_every_guarantee_that_has_a_test_is_listed_and_no_other():
    written = {path.name for path in (ROOT / "tests" / "guarantees").glob("test_g*.py")}
    listed = set(re.findall(r"\(tests/guarantees/(test_g\w+\.py)\)", README.text))

    assert listed == written


def test_every_room_is_in_the_table():
    rooms = {row[0] for row in README.rows()}

    assert [room for room in ROOMS if f"[{room}/]({room})" not in rooms] == []


def test_the_path_is_complete():
    """Whoever reads the linked files in order has read what completion.py calls."""
    completion = (ROOT / "gateway" / "completion.py").read_text(encoding="utf-8")
    relay = (ROOT / "gateway" / "relay.py").read_text(encoding="utf-8")
    steps = {"admission", "attempts", "caller", "meter", "relay", "router"}

    assert all(f"from gateway.{step} import" in completion for step in steps)
    assert "from gateway.upstream import" in relay
    assert all(f"(gateway/{step}.py)" in README.text for step in {*steps, "upstream"})


def test_the_changelog_s_newest_version_is_the_project_s():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)

    newest = re.search(r"^## (\S+),", page("CHANGELOG.md").text, re.MULTILINE)

    assert version is not None
    assert newest is not None
    assert newest[1] == version[1]


def test_every_page_of_docs_can_be_found_from_the_readme():
    linked = set(README.links())

    assert [path for path in map(str, docs()) if path not in linked] == []


def docs() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))
