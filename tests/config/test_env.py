"""The environment: defaults, files, and one clear line for each wrong value."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import WrongSetting, console_settings, gateway_settings, render_reference

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "DATABASE_URL": "postgresql://farebox:secret@db/farebox",
    "REDIS_URL": "redis://redis/0",
    "FAREBOX_KEY_PEPPER": "a pepper of sixteen",
    "FAREBOX_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
    "FAREBOX_SECRET_KEY": "s" * 25 + "ecret" * 5,
    "FAREBOX_PUBLIC_URL": "https://farebox.example",
}


def test_the_required_settings_are_enough():
    gateway, console = gateway_settings(REQUIRED), console_settings(REQUIRED)

    assert gateway.database_url == "postgresql://farebox:secret@db/farebox"
    assert gateway.master_key == bytes(range(32))
    assert gateway.key_pepper == b"a pepper of sixteen"
    assert gateway.shards == 16
    assert console.mode == "production"
    assert console.allowed_hosts == ("127.0.0.1", "localhost")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "FAREBOX_KEY_PEPPER", "FAREBOX_MASTER_KEY"])
def test_a_missing_setting_is_named(name):
    environment = {key: value for key, value in REQUIRED.items() if key != name}

    with pytest.raises(WrongSetting, match=rf"^{name} must be set: "):
        gateway_settings(environment)


def test_values_get_the_type_of_their_setting():
    environment = REQUIRED | {
        "FAREBOX_SHARDS": "8",
        "FAREBOX_BODY_TIMEOUT_SECONDS": "2.5",
        "FAREBOX_ALLOWED_UPSTREAM_NETWORKS": "10.1.0.0/16, fd00::/8,",
        "FAREBOX_EMAIL_IS_TLS": "No",
    }

    gateway, console = gateway_settings(environment), console_settings(environment)

    assert (gateway.shards, gateway.body_timeout_seconds) == (8, 2.5)
    assert gateway.allowed_upstream_networks == ("10.1.0.0/16", "fd00::/8")
    assert console.email_is_tls is False


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("FAREBOX_SHARDS", "many", "FAREBOX_SHARDS must be a whole number of at least 1"),
        ("FAREBOX_SHARDS", "0", "FAREBOX_SHARDS must be a whole number of at least 1"),
        ("FAREBOX_SHARDS", "1.5", "FAREBOX_SHARDS must be a whole number"),
        ("FAREBOX_BODY_TIMEOUT_SECONDS", "-1", "FAREBOX_BODY_TIMEOUT_SECONDS must be a number of at least 0"),
        ("FAREBOX_BODY_TIMEOUT_SECONDS", "nan", "FAREBOX_BODY_TIMEOUT_SECONDS must be a number"),
        ("FAREBOX_BODY_TIMEOUT_SECONDS", "inf", "FAREBOX_BODY_TIMEOUT_SECONDS must be a number"),
        ("FAREBOX_MASTER_KEY", "c2hvcnQ=", "FAREBOX_MASTER_KEY must be 32 random bytes in base64"),
        ("FAREBOX_MASTER_KEY", "not base64!", "FAREBOX_MASTER_KEY must be 32 random bytes in base64"),
        ("FAREBOX_KEY_PEPPER", "short", "FAREBOX_KEY_PEPPER must have at least 16 characters"),
        ("FAREBOX_ALLOWED_UPSTREAM_NETWORKS", "10.1.2.3/16", "must list networks like 10.1.0.0/16"),
    ],
)
def test_a_wrong_value_of_the_data_plane_is_named_with_what_is_allowed(name, value, complaint):
    with pytest.raises(WrongSetting, match=complaint):
        gateway_settings(REQUIRED | {name: value})


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("FAREBOX_MODE", "debug", "FAREBOX_MODE must be one of production, embedded, test, got 'debug'"),
        ("FAREBOX_SECRET_KEY", "s" * 49, "FAREBOX_SECRET_KEY must have at least 50 characters"),
        ("FAREBOX_EMAIL_PORT", "65536", "FAREBOX_EMAIL_PORT must be a whole number .* at most 65535"),
        ("FAREBOX_EMAIL_IS_TLS", "maybe", "FAREBOX_EMAIL_IS_TLS must be one of"),
        ("FAREBOX_PUBLIC_URL", "farebox.example", "FAREBOX_PUBLIC_URL must be like https://farebox.example"),
        ("FAREBOX_PUBLIC_URL", "https://farebox.example/", "with no slash at its end"),
        ("FAREBOX_PUBLIC_URL", "http://farebox.example", "must be https:// unless"),
    ],
)
def test_a_wrong_value_of_the_control_plane_is_named_with_what_is_allowed(name, value, complaint):
    with pytest.raises(WrongSetting, match=complaint):
        console_settings(REQUIRED | {name: value})


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (gateway_settings, "FAREBOX_MASTER_KEY"),
        (gateway_settings, "FAREBOX_KEY_PEPPER"),
        (console_settings, "FAREBOX_SECRET_KEY"),
    ],
)
def test_a_wrong_secret_is_not_repeated(read, name):
    with pytest.raises(WrongSetting) as wrong:
        read(REQUIRED | {name: "hush-hush"})

    assert "hush" not in str(wrong.value)


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "pepper").write_text("a pepper in a file\n")
    environment = {**REQUIRED, "FAREBOX_KEY_PEPPER_FILE": str(tmp_path / "pepper")}
    del environment["FAREBOX_KEY_PEPPER"]

    assert gateway_settings(environment).key_pepper == b"a pepper in a file"


def test_a_setting_comes_from_one_place_only(tmp_path):
    with pytest.raises(WrongSetting, match="FAREBOX_KEY_PEPPER_FILE must not both be set"):
        gateway_settings(REQUIRED | {"FAREBOX_KEY_PEPPER_FILE": str(tmp_path / "pepper")})


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    environment = {**REQUIRED, "REDIS_URL_FILE": str(tmp_path / "nothing")}
    del environment["REDIS_URL"]

    with pytest.raises(WrongSetting, match="REDIS_URL_FILE must name a readable text file"):
        gateway_settings(environment)


def test_no_secret_shows_when_settings_are_printed():
    shown = repr(gateway_settings(REQUIRED)) + repr(console_settings(REQUIRED))

    assert "pepper of" not in shown
    assert "ecretecret" not in shown


def test_the_reference_lists_each_setting_once():
    rows = [line.split("`")[1] for line in render_reference().splitlines() if line.startswith("| `")]

    assert len(rows) == len(set(rows))
    assert {"DATABASE_URL", "REDIS_URL", "SIMULATOR_URL", "FAREBOX_SHARDS", "FAREBOX_MODE"} <= set(rows)


def test_a_wrong_value_stops_the_start_with_one_line():
    run = python("-c", "import config.settings", FAREBOX_SHARDS="none")

    assert run.returncode == 1
    assert run.stderr == "farebox: FAREBOX_SHARDS must be a whole number of at least 1, got 'none'\n"


def test_production_settings_pass_djangos_deployment_check():
    run = python("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert (run.returncode, run.stderr) == (0, "")


def python(*arguments, **environment):
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**path, **REQUIRED, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
