"""The image: checked by reading its recipe, since no container engine is needed to run the suite."""

import re
from pathlib import Path

import pytest

from gateway.asgi import MOUNTS, OPERATIONS
from gateway.management_paths import MANAGEMENT_PATHS
from tests.architecture.source import ROOMS

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
BUILD, FINAL = re.split(r"^FROM ", RECIPE, flags=re.MULTILINE)[1:]
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")


def copied_into_the_build():
    return re.findall(r"^COPY (\S+) ", BUILD, flags=re.MULTILINE)


def test_everything_that_is_copied_exists_and_reaches_the_builder():
    admitted = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    assert all((ROOT / source).exists() for source in copied_into_the_build())
    assert sorted(admitted) == sorted(copied_into_the_build())


@pytest.mark.parametrize("part", [*ROOMS, "static", "templates", "manage.py"])
def test_every_part_of_the_house_is_in_the_image(part):
    assert part in copied_into_the_build()


def test_libraries_are_those_of_the_lock_file_by_hash_and_nothing_is_compiled():
    assert "--require-hashes --only-binary=:all: -r /build/requirements.lock" in BUILD
    assert not re.search(r"apt-get|gcc|build-essential", RECIPE)


def test_both_stages_run_the_same_python():
    assert BUILD.split()[0] == FINAL.split()[0] == "python:3.11-slim-bookworm"


def test_the_image_runs_as_somebody_who_owns_the_spool_alone():
    assert re.search(r"^USER farebox$", FINAL, flags=re.MULTILINE)
    assert "install -d -o farebox -g farebox -m 700 /var/lib/farebox/spool" in FINAL
    assert "FAREBOX_SPOOL_DIR=/var/lib/farebox/spool" in FINAL
    assert "--chown" not in RECIPE


def test_static_files_are_collected_when_the_image_is_built():
    assert "manage.py collectstatic --noinput" in BUILD


def test_the_image_says_whether_it_is_alive():
    assert re.search(r"^HEALTHCHECK .*\n.*http://127\.0\.0\.1:8000/healthz", FINAL, flags=re.MULTILINE)


def test_no_secret_is_baked_in():
    baked = re.findall(r"^(?:ENV|ARG) .*(?:\n .*)*", RECIPE, flags=re.MULTILINE)

    assert not [line for line in baked if re.search(r"SECRET|PEPPER|PASSWORD|MASTER|DATABASE_URL", line)]


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_proxy_sends_every_mount_to_the_data_plane(mount):
    (paths,) = re.findall(r"@data_plane path (.*)", CADDYFILE)

    assert f"{mount}/*" in paths.split()


def test_the_proxy_sends_management_paths_to_the_web_process_before_their_mounts():
    (paths,) = re.findall(r"@management path ((?:.*\\\n)*.*)", CADDYFILE)

    assert paths.replace("\\", " ").split() == [
        path for own in MANAGEMENT_PATHS for path in (own, f"{own}/*")
    ]
    assert "handle @management {\n\t\treverse_proxy web:8000 {" in CADDYFILE
    assert CADDYFILE.index("handle @management") < CADDYFILE.index("handle @data_plane")


def test_the_proxy_shows_health_and_hides_metrics():
    (shown,) = re.findall(r"@data_plane path (.*)", CADDYFILE)
    (hidden,) = re.findall(r"@metrics path (.*)", CADDYFILE)

    assert set(OPERATIONS) == {"/healthz", "/readyz", "/metrics"}
    assert {"/healthz", "/readyz"} <= set(shown.split())
    assert hidden.split() == ["/metrics", "/metrics/*"]
    assert "handle @metrics {\n\t\trespond 404" in CADDYFILE


def test_the_proxy_tells_the_gateway_when_a_client_leaves():
    assert not re.search(r"^\s*flush_interval", CADDYFILE, flags=re.MULTILINE)
