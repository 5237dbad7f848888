"""The documents that are printed from the code say what the code says."""

import re

from config.env import render_reference
from tests.architecture.source import ROOT, modules

# Written into docs and messages, not read: NAME_FILE of any setting, and the suite's own servers.
NO_SETTINGS = re.compile(r"FAREBOX_(TEST_\w+|URL|API_KEY|EMAIL|PASSWORD|)")


def test_the_settings_page_is_up_to_date():
    """Regenerate it with `python -m config.env > docs/settings.md`."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == render_reference()


def test_every_variable_that_is_read_or_handed_on_is_in_the_settings_page():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    names = {name for module in modules() for name in re.findall(r'"(FAREBOX_[A-Z_]+)"', module.text)}
    for pattern in ("docker-compose*.yml", "Dockerfile*"):
        for path in ROOT.glob(pattern):
            names.update(re.findall(r"\bFAREBOX_[A-Z_]+", path.read_text(encoding="utf-8")))

    unlisted = {name.removesuffix("_FILE") for name in names if f"`{name.removesuffix('_FILE')}`" not in page}
    assert {name for name in unlisted if not NO_SETTINGS.fullmatch(name)} == set()
