"""The documents that are printed from the code say what the code says."""

from config.env import render_reference
from tests.architecture.source import ROOT


def test_the_settings_page_is_up_to_date():
    """Regenerate it with `python -m config.env > docs/settings.md`."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == render_reference()
