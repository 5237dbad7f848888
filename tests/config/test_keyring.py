"""The embedded default's secrets: drawn once, kept, and readable by their owner alone."""

import base64
import stat
from pathlib import Path

from config.keyring import load_or_draw, read_variables


def test_secrets_are_kept_over_restarts(tmp_path: Path) -> None:
    first = load_or_draw(tmp_path / "secret.env")

    second = load_or_draw(tmp_path / "secret.env")

    assert second == first
    assert load_or_draw(tmp_path / "another.env") != first


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    load_or_draw(tmp_path / "secret.env")

    assert stat.S_IMODE((tmp_path / "secret.env").stat().st_mode) == 0o600


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "secret.env").write_text("FAREBOX_SECRET_KEY=kept\n")

    secrets = load_or_draw(tmp_path / "secret.env")

    assert secrets["FAREBOX_SECRET_KEY"] == "kept"
    assert read_variables(tmp_path / "secret.env") == secrets
    assert len(base64.b64decode(secrets["FAREBOX_MASTER_KEY"])) == 32


def test_variables_are_read_around_comments_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "demo.env").write_text("# demo\n\nFAREBOX_URL = http://127.0.0.1:8000\nTOKEN=a=b==\n")

    assert read_variables(tmp_path / "demo.env") == {"FAREBOX_URL": "http://127.0.0.1:8000", "TOKEN": "a=b=="}
