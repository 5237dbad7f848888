"""The files of one server hold together: nothing here starts a container, what they say is read and tried.

Each service of ours is given its environment as Compose would give it, with secrets freshly drawn, and
that must be enough to start in production.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from config.env import console_settings, gateway_settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("gateway", "web", "worker", "beat", "migrate")
PAGES_TOO = ("web", "worker", "beat", "migrate")
DOT_ENV = {"FAREBOX_PUBLIC_URL": "https://farebox.example"}
PLACE_OF_SECRETS = "/run/secrets/"
SETTLING_SECONDS = 5


def interpolated(text, variables):
    """`${NAME}`, `${NAME:-default}` and `${NAME:?hint}`, as Compose reads them."""

    def value(match):
        name, operator, rest = match[1], match[2], match[3]
        if name in variables:
            return variables[name]
        assert operator == ":-", f"{name} must be set: {rest}"
        return rest

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def environment_of(service, secrets):
    environment = {name: interpolated(str(text), DOT_ENV) for name, text in service["environment"].items()}
    return {name: text.replace(PLACE_OF_SECRETS, f"{secrets}/") for name, text in environment.items()}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    subprocess.run([ROOT / "deploy" / "draw_secrets.sh", folder], check=True, capture_output=True)
    return folder


def test_the_services_of_one_server_are_there():
    names = {"proxy", "gateway", "web", "worker", "beat", "migrate", "postgres", "redis"}

    assert set(SERVICES) == names
    assert SERVICES["gateway"]["deploy"]["replicas"] == 2
    assert "deploy" not in SERVICES["beat"]


@pytest.mark.parametrize("name", OURS)
def test_the_data_plane_s_settings_are_complete(name, secrets):
    settings = gateway_settings(environment_of(SERVICES[name], secrets))

    assert settings.redis_url.endswith("@redis:6379/0")
    assert settings.database_url.endswith("@postgres:5432/farebox")
    assert settings.spool_dir == "/var/lib/farebox/spool"


@pytest.mark.parametrize("name", PAGES_TOO)
def test_the_pages_settings_are_complete_and_for_production(name, secrets):
    settings = console_settings(environment_of(SERVICES[name], secrets))

    assert (settings.mode, settings.public_url) == ("production", "https://farebox.example")


def test_a_missing_public_url_stops_compose_with_a_hint():
    with pytest.raises(AssertionError, match="say where people reach this house"):
        interpolated(SERVICES["web"]["environment"]["FAREBOX_PUBLIC_URL"], {})


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name):
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    unlisted = [
        variable
        for variable in SERVICES[name]["environment"]
        if f"`{variable.removesuffix('_FILE')}`" not in page
    ]

    assert unlisted == []


def test_every_secret_is_a_file_that_is_drawn(secrets):
    sources = {name: Path(secret["file"]) for name, secret in COMPOSE["secrets"].items()}

    assert {path.parent for path in sources.values()} == {Path("var/secrets")}
    assert {path.name for path in sources.values()} == {path.name for path in secrets.iterdir()}
    assert all(name == path.name for name, path in sources.items())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_the_secrets_it_names_and_no_others(name):
    service = SERVICES[name]
    named = set(re.findall(r"/run/secrets/(\w+)", yaml.safe_dump(service)))

    assert set(service.get("secrets", [])) == named


def test_the_data_plane_does_not_hold_what_signs_sessions():
    assert "secret_key" not in SERVICES["gateway"]["secrets"]


def test_no_secret_stands_in_a_file_of_the_project():
    for name, service in SERVICES.items():
        for variable, text in service.get("environment", {}).items():
            if re.search(r"PASSWORD|KEY|PEPPER|SECRET|_URL(_FILE)?$", variable):
                is_address = variable == "FAREBOX_PUBLIC_URL"
                assert is_address or text.startswith(PLACE_OF_SECRETS), f"{name}: {variable}"


def test_secrets_that_are_there_are_kept_and_the_folder_lets_nobody_else_in(secrets):
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}

    drawing = subprocess.run(
        [ROOT / "deploy" / "draw_secrets.sh", secrets], check=True, capture_output=True, text=True
    )

    assert drawing.stdout == ""
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o444}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_every_lasting_service_has_a_health_check_and_comes_back(name):
    service = SERVICES[name]

    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["gateway", "web", "worker", "beat"])
def test_nobody_starts_before_the_tables_are_up_to_date(name):
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_a_gateway_is_given_more_time_to_stop_than_its_streams_are():
    service, default = SERVICES["gateway"], gateway_settings({"FAREBOX_MODE": "test"}).drain_timeout_seconds
    option = re.search(r"graceful-shutdown \$\$\(\( (.+) \+ (\d+) \)\)", service["command"][-1])
    told_seconds = int(interpolated(service["environment"]["FAREBOX_DRAIN_TIMEOUT_SECONDS"], {}))

    assert option is not None
    server_seconds = int(interpolated(option[1], {})) + int(option[2])
    assert default == told_seconds < server_seconds
    assert server_seconds + SETTLING_SECONDS < int(service["stop_grace_period"].removesuffix("s"))


def test_only_the_proxy_is_reached_from_outside():
    published = {name for name, service in SERVICES.items() if "ports" in service}
    in_the_data_network = {name for name, service in SERVICES.items() if "data" in service["networks"]}

    assert published == {"proxy"}
    assert in_the_data_network == {*OURS, "postgres", "redis"}
    assert COMPOSE["networks"]["data"] == {"internal": True}


def test_redis_confirms_nothing_that_is_not_on_the_disk_and_evicts_nothing():
    command = SERVICES["redis"]["command"][-1]

    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_their_spool_and_nothing_else(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["spool:/var/lib/farebox/spool"]


def test_all_volumes_and_networks_are_declared():
    volumes = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith(".")
    }

    assert volumes == set(COMPOSE["volumes"])
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(
        COMPOSE["networks"]
    )


def test_each_file_that_is_mounted_exists():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]

    assert all((ROOT / mount.partition(":")[0]).is_file() for mount in mounts if mount.startswith("./"))
