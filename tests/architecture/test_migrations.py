"""Migrations: each application has one line of them, or no database can be made."""

import re

import pytest

from tests.architecture.source import ROOT

APPS = ("accounts", "analytics", "billing", "gateway")


@pytest.mark.parametrize("app", APPS)
def test_each_application_has_one_last_migration(app):
    texts = {path.stem: path.read_text() for path in (ROOT / app / "migrations").glob("[0-9]*.py")}
    named = rf'\("{app}", "(\d{{4}}_\w+)"\)'
    followed = {name for text in texts.values() for name in re.findall(named, text)}

    assert len(texts.keys() - followed) == 1
